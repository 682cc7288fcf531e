"""The arms: one module per way to make what a student learns from.

A module defines `Settings`, the schema of its section `teacher_tailored.<arm>` in params.yaml, and
`teach(settings, lesson)`, which returns the `Targets` of the student. A module whose teacher goes on learning beside
the student also defines `co_training(settings)`, which returns a `CoTraining`; its `teach` gives the targets to start
from. What arms share is in the folder `shared`.
To add an arm: add its module here and its section to params.yaml, then name it in `arms`.
"""

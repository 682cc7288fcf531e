"""What arms share: what they are given and give back, teachers that learn beside a student, weights of samples."""

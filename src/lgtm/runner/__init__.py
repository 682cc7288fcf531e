"""Cells side by side: DVC's graph, its locks and its cache, with as many stages at a time as the machine carries.

`python -m lgtm.runner` leaves what `dvc repro` leaves. The graph comes from DVC (graph), a cell is run as DVC runs it
(cell) in a fork of one process that has imported everything (warm), and whatever is ready is given to an executor
(schedule): threads of this process, or Dask's workers on other machines, whose folders are their own (apart).
"""

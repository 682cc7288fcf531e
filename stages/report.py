"""Gather the listed seeds and arms into tables, figures and a page."""

from lgtm.params import load_params
from lgtm.report.names import WARMUP
from lgtm.report.page import results_page
from lgtm.report.plots import (
    arms_figure,
    curves_figure,
    differences_figure,
    influence_figure,
    png,
    rounds_figure,
    validation_figure,
)
from lgtm.report.scores import (
    join_scores,
    rank_samples,
    removal_changes,
    share_helpful,
    subset_losses,
    validity,
)
from lgtm.report.tables import (
    by_round,
    distillation_curves,
    headline,
    per_seed,
    right_answers,
    select_cells,
    summarise,
    summarise_cost,
    summarise_rounds,
)
from lgtm.report.verdicts import BETTER, WORSE, decisions, pairs, significance
from stages.artifacts import REPORTS, read_role, read_summary, read_task, write_figures, write_json
from stages.gathered import read_costs, read_curves, read_predictions, read_results, read_scores, read_validation

FIGURES = REPORTS / "figures"


def main() -> None:
    """Write results.md, metrics.json, summary.json, curves.csv and figures to reports."""
    params, task = load_params(), read_task() | read_summary()
    official = task["metrics"][0]
    results = read_results(params.seeds, params.arms, params.rounds.arms)
    cells = select_cells(results, params.seeds, params.arms)
    scores = join_scores(read_scores(params.seeds), read_role("train"))
    curves = read_curves(cells, params.seeds, params.arms, official)
    found = read_validation(params.seeds)
    changes, subsets = removal_changes(found), subset_losses(found)

    parts = list(results["part"].unique())
    right = right_answers(read_predictions(params.seeds, params.arms), params.seeds, params.arms, parts[0])

    students = per_seed(cells, params.arms, official)
    metrics = summarise(cells, params.arms)
    metrics |= {
        "tests": significance(students, right),
        "influence": {"share_helpful": share_helpful(scores)},
        "validation": validity(found, changes),
        "cost": summarise_cost(read_costs(params.seeds, params.arms)),
    }
    rounds = None
    if params.rounds.arms:
        rounds = by_round(results, cells, params.rounds.arms, params.rounds.count, official)
        metrics["rounds"] = summarise_rounds(rounds, official)
    page = results_page(
        task=params.task,
        pair=params.pair,
        seeds=params.seeds,
        summary=task,
        parts=parts,
        metrics=metrics,
        samples=rank_samples(scores),
        shown=params.report.samples,
    )
    teacher = cells.loc[("teacher", WARMUP), official]
    figures = {
        "arms": arms_figure(students, teacher, official, parts[0]),
        "curves": curves_figure(curves, params.arms, official),
        "influence": influence_figure(scores),
    }
    if compared := pairs(params.arms):
        settled = [decision in (BETTER, WORSE) for decision in decisions(metrics, official).values()]
        figures["differences"] = differences_figure(students, compared, settled, official, parts[0])
    if len(changes) or len(subsets):
        figures["validation"] = validation_figure(changes, subsets)
    if rounds is not None:
        figures["rounds"] = rounds_figure(rounds, official, parts[0])
    pictures = {name: png(figure) for name, figure in figures.items()}

    FIGURES.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        (FIGURES / f"{name}.png").write_bytes(picture)
    distillation_curves(curves, params.arms).to_csv(REPORTS / "curves.csv", index=False)
    (REPORTS / "results.md").write_text(page, encoding="utf-8")
    write_json(REPORTS / "metrics.json", metrics)
    write_figures(REPORTS / "summary.json", headline(metrics, official))

"""Gather the listed seeds and arms into tables, figures and a page."""

import pandas as pd

from lgtm.networks.pairs import load_pair
from lgtm.params import ARMS, CO_TRAINED, Params, load_params
from lgtm.report import drawing, influence_plots, plots, scores, tables, verdicts
from lgtm.report.cautions import differing
from lgtm.report.names import WARMUP
from lgtm.report.page import results_page
from lgtm.report.recommendation import recommend
from stages import gathered
from stages.artifacts import REPORTS, read_summary, read_task, write_figures, write_json, writing

FIGURES = REPORTS / "figures"


def main() -> None:
    """Write results.md, metrics.json, summary.json, curves.csv and figures to reports."""
    params, task = load_params(), read_task() | read_summary()
    seeds, arms, official = params.seeds, params.arms, task["metrics"][0]
    answers = not load_pair(params.pair).teacher.networks
    results = gathered.read_results(seeds, arms, params.rounds.arms)
    parts = list(results["part"].unique())
    cells = tables.select_cells(results, seeds, arms)
    students = tables.per_seed(cells, [WARMUP, *arms], official)
    right = tables.right_answers(gathered.read_predictions(seeds, arms), seeds, [WARMUP, *arms], parts[0])
    compared, starts = verdicts.pairs(arms), verdicts.starts(arms)
    influence = scores.join_scores(gathered.read_scores(seeds), *gathered.read_taught())
    ends = scores.extremes(scores.rank_samples(influence), params.report.samples)
    texts = gathered.read_texts(pd.concat(ends)["sample_id"])
    helpful, harmful = (end.merge(texts, on="sample_id") for end in ends)
    curves = gathered.read_curves(cells, seeds, arms, official)
    without_curve = tables.without_curve(curves)
    costs = gathered.read_costs(seeds, arms)
    found = gathered.read_validation(seeds)
    changes, subsets = scores.removal_changes(found), scores.subset_losses(found)

    metrics = tables.summarise(cells, arms) | {
        "environments": differing(gathered.read_environments(seeds, arms, params.rounds.arms, params.rounds.count)),
        "tests": verdicts.significance(students, right, compared),
        "influence": {"share_helpful": scores.share_helpful(influence), "checks": gathered.read_checks(seeds)},
        "validation": scores.validity(found, changes),
        "choices": tables.summarise_choices(gathered.read_choices(seeds, arms), task["roles"]["selection"]["rows"]),
        "cost": tables.summarise_cost(costs),
    }
    metrics["from_warm"]["tests"] = verdicts.significance(students, right, starts)
    metrics["recommendation"] = recommend(metrics, official, task["transfer"]["rows"], answers=answers)
    rounds = None
    if params.rounds.arms:
        rounds = tables.by_round(results, cells, params.rounds.arms, params.rounds.count, official)
        metrics["rounds"] = tables.summarise_rounds(rounds, official)
    page = results_page(
        task=params.task,
        pair=params.pair,
        seeds=seeds,
        summary=task,
        parts=parts,
        metrics=metrics,
        helpful=helpful,
        harmful=harmful,
        heard=[arm for arm in arms if heard_feedback(arm, costs[arm], params)],
        keep=params.distill.keep,
        answers=answers,
        without_curve=without_curve,
        descriptions={arm: ARMS[arm].__doc__.splitlines()[0] for arm in arms},
    )
    majority, teacher = metrics["majority"][official], cells.loc[("teacher", WARMUP), official]
    from_warm = metrics["from_warm"] | {"environments": metrics["environments"]}
    said = [*verdicts.decisions(from_warm, official).values(), *verdicts.decisions(metrics, official).values()]
    settled = [decision in (verdicts.BETTER, verdicts.WORSE) for decision in said]
    figures = {
        "arms": plots.arms_figure(students, teacher, majority, official, parts[0]),
        "differences": plots.differences_figure(students, starts + compared, settled, official, parts[0]),
        "curves": plots.curves_figure(curves[~curves["phase"].isin(without_curve)], arms, official),
        "influence": influence_plots.influence_figure(influence),
    }
    if len(changes) or len(subsets):
        figures["validation"] = influence_plots.validation_figure(changes, subsets)
    if rounds is not None:
        warm = metrics["warm_student"][official]
        figures["rounds"] = plots.rounds_figure(rounds, arms, warm, majority, official, parts[0])
    pictures = {name: drawing.png(figure) for name, figure in figures.items()}

    with writing(REPORTS):
        FIGURES.mkdir(parents=True, exist_ok=True)
        for name, picture in pictures.items():
            (FIGURES / f"{name}.png").write_bytes(picture)
        tables.distillation_curves(curves, arms).to_csv(REPORTS / "curves.csv", index=False)
        (REPORTS / "results.md").write_text(page, encoding="utf-8")
    write_json(REPORTS / "metrics.json", metrics)
    write_figures(REPORTS / "summary.json", tables.headline(metrics, official))


def heard_feedback(arm: str, costs: list[list[tuple[str, dict]]], params: Params) -> bool:
    """Whether an arm heard of the feedback labels: as labels, through the samples' scores, or beside its student.

    costs: of the arm, by seed (read_costs).
    """
    if arm in CO_TRAINED:
        return ARMS[arm].co_training(getattr(params.teacher_tailored, arm)).influence is not None
    scored = any(network == "student_scored" for seed in costs for network, _ in seed)
    return arm == "pooled" or (scored and not params.influence.folds)

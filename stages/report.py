"""Gather the listed seeds and arms into tables, figures and pages."""

import pandas as pd

from lgtm.networks.pairs import load_pair
from lgtm.params import ARMS, CO_TRAINED, Params, load_params
from lgtm.report import classes, figures, page, pictures, scores, tables, verdicts, web
from lgtm.report.cautions import differing
from lgtm.report.lineage import lineage
from lgtm.report.moved import summarise_moved
from lgtm.report.names import WARMUP
from lgtm.report.recommendation import recommend
from stages import gathered, opinions, shown
from stages.artifacts import REPORTS, TAUGHT, read_summary, read_task, write_figures, write_json, writing
from stages.traced import files_read

FIGURES, VECTORS = REPORTS / "figures", REPORTS / "svg"
PAGES = ("results", "details")


def main() -> None:
    """Write report.html, results.md, details.md, metrics.json, summary.json, curves.csv and figures to reports."""
    params, task = load_params(), read_task() | read_summary()
    seeds, arms, official = params.seeds, params.arms, task["metrics"][0]
    answers = not load_pair(params.pair).teacher.networks
    results = gathered.read_results(seeds, arms, params.rounds.arms)
    parts = list(results["part"].unique())
    cells = tables.select_cells(results, seeds, arms)
    students = tables.per_seed(cells, [WARMUP, *arms], official)
    said = gathered.read_predictions(seeds, arms)
    right = tables.right_answers(said, seeds, [WARMUP, *arms], parts[0])
    said = said[said["part"] == parts[0]]
    compared, starts = verdicts.pairs(arms), verdicts.starts(arms)
    rows = opinions.read_rows()
    influence = scores.join_scores(gathered.read_scores(seeds), *gathered.read_taught())
    ranked = scores.rank_samples(influence)
    shifts, far = opinions.read_shifts(seeds, arms, rows)
    curves = gathered.read_curves(cells, seeds, arms, official)
    costs = gathered.read_costs(seeds, arms)
    environments = gathered.read_environments(seeds, arms, params.rounds.arms, params.rounds.count)
    found = gathered.read_validation(seeds)
    changes, subsets = scores.removal_changes(found), scores.subset_losses(found)

    metrics = tables.summarise(cells, arms) | {
        "environments": differing(environments),
        "tests": verdicts.significance(students, right, compared),
        "influence": {"share_helpful": scores.share_helpful(influence), "checks": gathered.read_checks(seeds)},
        "validation": scores.validity(found, changes),
        "choices": tables.summarise_choices(gathered.read_choices(seeds, arms), task["roles"]["selection"]["rows"]),
        "cost": tables.summarise_cost(costs),
        "moved": summarise_moved(shifts),
    }
    metrics["from_warm"]["tests"] = verdicts.significance(students, right, starts)
    metrics["recommendation"] = recommend(metrics, official, task["transfer"]["rows"], answers=answers)
    rounds = None
    if params.rounds.arms:
        rounds = tables.by_round(results, cells, params.rounds.arms, params.rounds.count, official)
        metrics["rounds"] = tables.summarise_rounds(rounds, official)

    ends = scores.extremes(ranked, params.report.samples)
    moved_by = shown.moved_by(far)
    samples = shown.samples(ranked, rows, far.get(moved_by))
    texts = gathered.read_texts(pd.concat([*ends, samples])["sample_id"])
    helpful, harmful = (end.merge(texts, on="sample_id") for end in ends)
    content = page.content(
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
        without_curve=tables.without_curve(curves),
        descriptions={arm: ARMS[arm].__doc__.splitlines()[0] for arm in arms},
        recalls=classes.recalls(said, [WARMUP, *arms]),
        confusions=classes.confusions(said, [WARMUP, *arms]),
    )
    drawn = figures.of_arms(metrics, students, cells, curves, arms, official, parts[0])
    drawn |= figures.of_the_test(metrics, said, task["labels"], arms)
    drawn |= figures.of_the_influence(influence, changes, subsets)
    if rounds is not None:
        drawn |= figures.of_rounds(metrics, rounds, arms, official, parts[0])
    drawings = {name: pictures.picture(name, figure) for name, figure in drawn.items()}
    html = web.web_page(
        content,
        metrics,
        official,
        labels=task["labels"],
        rows={role: int((rows["role"] == role).sum()) for role in TAUGHT},
        pictures=drawings,
        samples=shown.table(samples, texts, seeds, moved_by, task["labels"]),
        tested=shown.tested(said, [WARMUP, *arms], len(seeds), task["labels"]),
        moved_by=moved_by,
        lineage=lineage(files_read(params)),
        made_with={} if metrics["environments"] else next(iter(environments.values()), {}),
    )
    texts_of = {"report.html": html} | {f"{name}.md": page.render(f"{name}.md.j2", content) for name in PAGES}
    with writing(REPORTS):
        for folder in (FIGURES, VECTORS):
            folder.mkdir(parents=True, exist_ok=True)
        for name, drawing in drawings.items():
            (FIGURES / f"{name}.png").write_bytes(drawing.png)
            (VECTORS / f"{name}.svg").write_bytes(drawing.svg)
        for name, text in texts_of.items():
            (REPORTS / name).write_text(text, encoding="utf-8")
        tables.distillation_curves(curves, arms).to_csv(REPORTS / "curves.csv", index=False)
    write_json(REPORTS / "metrics.json", metrics)
    write_figures(REPORTS / "summary.json", tables.headline(metrics, official) | page.spoken(content))


def heard_feedback(arm: str, costs: list[list[tuple[str, dict]]], params: Params) -> bool:
    """Whether an arm heard of the feedback labels: as labels, through the samples' scores, or beside its student.

    costs: of the arm, by seed (read_costs).
    """
    if arm in CO_TRAINED:
        return ARMS[arm].co_training(getattr(params.teacher_tailored, arm)).influence is not None
    scored = any(network == "student_scored" for seed in costs for network, _ in seed)
    return arm == "pooled" or (scored and not params.influence.folds)

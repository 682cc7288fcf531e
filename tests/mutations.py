"""Wrong code that the tests have to notice: a list, tried by mutants.py."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    """One changed expression: `right`, which stands in the file once, becomes `wrong`, and the test has to fail."""

    what: str
    file: str
    right: str
    wrong: str
    test: str  # below tests/


ROLES = "src/lgtm/data/roles.py"
SOURCES = "src/lgtm/data/sources.py"
FILES = "src/lgtm/data/files.py"
LOSSES = "src/lgtm/networks/losses.py"
TRAINING = "src/lgtm/networks/training.py"
METRICS = "src/lgtm/networks/metrics.py"
ENCODING = "src/lgtm/networks/encoding.py"
DIRECTION = "src/lgtm/influence/direction.py"
IDENTITY = "src/lgtm/influence/identity.py"
VALIDATION = "src/lgtm/influence/validation.py"
ARMS = "src/lgtm/arms"
COTRAINING = f"{ARMS}/shared/cotraining.py"
STATISTICS = "src/lgtm/report/statistics.py"
VERDICTS = "src/lgtm/report/verdicts.py"

PARAMS = "src/lgtm/params.py"

OWN_ROWS = "test_stages.py::test_scores_are_the_definitions_row_by_row_across_chunks"
OTHER_LOSS = "test_stages.py::test_scores_of_another_loss_scope_and_mix"
EARLIER = "test_stages.py::test_earlier_checkpoints_are_scored_each_along_its_own_preconditioned_gradient"
ROUND = "test_stages.py::test_a_further_round_scores_the_student_that_was_distilled_last_and_goes_on_from_it"
RETRAINED = "test_stages.py::test_a_teacher_is_retrained_from_its_start_with_its_anchor_at_its_rate"
EVALUATED = "test_stages.py::test_every_student_and_teacher_is_evaluated_with_its_own_weights"
TAUGHT = "test_stages.py::test_a_student_learns_from_its_targets_with_their_weights_at_the_temperature"
AUTOGRAD = "test_influence.py::test_both_methods_agree_with_the_autograd_loop[bert-head]"
TAILORING = "test_losses.py::test_the_tailoring_loss_is_its_formula_row_by_row"
WINNER = "test_report.py::test_a_winner_needs_the_interval_and_the_test"

DATA = [
    Mutation("texts in another case are other texts", ROLES, "text.casefold().split()", "text.split()",
             "test_roles.py::test_no_text_stands_in_two_roles"),
    Mutation("the test loses the texts that train has", ROLES,
             'ROLES = ("test", "selection", "feedback", "train")', 'ROLES = ("train", "selection", "feedback", "test")',
             "test_roles.py::test_the_lower_role_loses_a_repeated_text"),
    Mutation("a class gets what is left over whatever its remainder", ROLES, "ascending=False, kind", "ascending=True, kind",
             "test_roles.py::test_max_test_leaves_the_other_roles_alone"),
    Mutation("noise may leave a label as it is", ROLES, "integers(1, num_labels, count)", "integers(0, num_labels, count)",
             "test_roles.py::test_noise_flips_exactly_so_many_rows"),
    Mutation("noise is planted in the test as well", "stages/prepare.py", 'roles["train"] = plant_noise(roles["train"]',
             'roles["test"] = plant_noise(roles["test"]', "test_stages.py::test_noise_is_planted_but_never_in_the_test"),
    Mutation("integer classes are in the order of their digits", SOURCES, "key=int if integers else None", "key=None",
             "test_tasks.py::test_labels"),
    Mutation("the first line of a text file is dropped with the mark before it", FILES, '"utf-8-sig"', '"utf-8"',
             "test_tasks.py::test_formats"),
]

NETWORKS = [
    Mutation("KL the other way round", LOSSES, "F.kl_div(others, own,", "F.kl_div(own, others,", TAILORING),
    Mutation("distillation without the factor T²", LOSSES, "return temperature**2 * F.kl_div", "return F.kl_div",
             "test_losses.py::test_distillation_looks_up_its_rows_and_mixes_the_labels"),
    Mutation("the student hears the teacher at T = 1", LOSSES, "_kl(teacher, outputs.logits, temperature)",
             "_kl(teacher, outputs.logits)", TAUGHT),
    Mutation("teacher and labels change their shares", LOSSES, "(1 - mix) * soft + mix * hard", "mix * soft + (1 - mix) * hard",
             TAUGHT),
    Mutation("the loss of a batch is a sum", LOSSES, "return losses.mean() if weights is None",
             "return losses.sum() if weights is None", TAILORING.replace("the_tailoring_loss_is_its_formula_row_by_row",
             "distillation_looks_up_its_rows_and_mixes_the_labels")),
    Mutation("tailoring away from what helps", LOSSES, "loss - self.influence_weight", "loss + self.influence_weight", RETRAINED),
    Mutation("the anchor is the warm teacher, whatever is asked", LOSSES, 'self.anchor == "labels"', 'self.anchor == ""',
             RETRAINED),
    Mutation("the worst evaluation is kept", TRAINING, "rank > best", "rank < best",
             "test_training.py::test_best_keeps_the_best_evaluation_and_last_the_last"),
    Mutation("the last weights stand in place of the kept ones", TRAINING, "value.detach().clone() for name",
             "value.detach() for name", "test_training.py::test_best_keeps_the_best_evaluation_and_last_the_last"),
    Mutation("second moments without their bias correction", TRAINING, ' / (1 - group["betas"][1] ** state["step"])', "",
             "test_moments.py::test_the_last_step_has_the_moments_of_the_last_step"),
    Mutation("second moments corrected by the first moment's beta", TRAINING, 'group["betas"][1]', 'group["betas"][0]',
             "test_moments.py::test_the_last_step_has_the_moments_of_the_last_step"),
    Mutation("second moments corrected as one step later", TRAINING, '** state["step"]', '** (state["step"] + 1)',
             "test_moments.py::test_the_last_step_has_the_moments_of_the_last_step"),
    Mutation("predictions from long to short, not in the order of the rows", TRAINING, "back = np.argsort(order)",
             "back = np.arange(len(order))", "test_training.py::test_prediction_keeps_the_order_and_ignores_padding"),
    Mutation("the network attends to padding", LOSSES, 'not in ("labels", "index")',
             'not in ("labels", "index", "attention_mask")',
             "test_training.py::test_prediction_keeps_the_order_and_ignores_padding"),
    Mutation("macro F1 is weighted by the classes' rows", METRICS, 'average="macro"', 'average="weighted"',
             "test_metrics.py::test_task_metrics_by_hand"),
    Mutation("calibration error with its sign", METRICS, "np.abs(gaps).sum()", "gaps.sum()",
             "test_metrics.py::test_calibration_error_against_a_loop"),
    Mutation("a part of the rows counts its index from its own start", ENCODING, "[self.index[row] for row in rows]",
             "list(range(len(rows)))",
             "test_training.py::test_a_part_is_what_encoding_those_rows_gives_with_their_places_in_the_whole"),
]

INFLUENCE = [
    Mutation("the default feedback loss rises with what is right", DIRECTION, "return -(weights", "return (weights", OWN_ROWS),
    Mutation("the margin's classes count by their rows", DIRECTION, "(len(counts) * counts.clamp(min=1))",
             "(len(counts) * counts.clamp(min=1)).new_full((len(counts),), len(labels))", OWN_ROWS),
    Mutation("the preconditioner multiplies", DIRECTION, "value / (second_moments", "value * (second_moments", EARLIER),
    Mutation("influence of the opposite sign", IDENTITY,
             "(student_logits / temperature).softmax(-1) - (teacher_logits / temperature).softmax(-1)",
             "(teacher_logits / temperature).softmax(-1) - (student_logits / temperature).softmax(-1)", AUTOGRAD),
    Mutation("influence without the factor T", IDENTITY, "temperature * (gap * tangents).sum(-1)", "(gap * tangents).sum(-1)",
             OTHER_LOSS),
    Mutation("tangents of half their size", IDENTITY, "(up - down) / (2 * epsilon)", "(up - down) / (4 * epsilon)", AUTOGRAD),
    Mutation("the last checkpoint's tangents stand for the mean", IDENTITY, '_mean(derivative for _, derivative in scored)',
             "scored[-1][1]",
             "test_influence.py::test_several_checkpoints_are_averaged_and_the_mean_tangents_carry_the_teacher"),
    Mutation("the most helpful rows are dropped as the most harmful", VALIDATION, '"most harmful": order[:drop]',
             '"most harmful": order[-drop:]', "test_stages.py::test_retrained_are_students_without_the_rows_that_influence_ranks"),
    Mutation("flips are looked for among the highest scores", VALIDATION, "roc_auc_score(flagged, -scores)",
             "roc_auc_score(flagged, scores)",
             "test_validation.py::test_each_score_is_asked_for_the_errors_that_it_is_about"),
    Mutation("the temperature of distill is not that of the influence", PARAMS, "return getattr(self.distill, name) if own == DISTILL",
             "return {'temperature': 1.0}.get(name, 0.0) if own == DISTILL", OWN_ROWS),
]

ARM = [
    Mutation("tilted towards what hurts", f"{ARMS}/tilted.py", "warm_logits - settings", "warm_logits + settings",
             "test_arms.py::test_tilted_is_the_optimum_of_tailored_at_every_temperature_and_share_of_labels"),
    Mutation("tilted as if the student heard no labels", f"{ARMS}/tilted.py", "1 - lesson.hard_label_weight", "1.0",
             "test_arms.py::test_tilted_is_the_optimum_of_tailored_at_every_temperature_and_share_of_labels"),
    Mutation("the placebo is the treatment", f"{ARMS}/shuffled.py", "lesson.tangents[order]", "lesson.tangents",
             "test_arms.py::test_shuffled_is_tailored_with_the_tangents_of_other_samples"),
    Mutation("the control is tailored", f"{ARMS}/control.py", "influence_weight=0.0", "influence_weight=0.5",
             "test_stages.py::test_control_is_given_no_influence_and_shuffled_another_samples"),
    Mutation("filtered keeps the least helpful", f"{ARMS}/filtered.py",
             "lesson.influence >= np.quantile(lesson.influence, 1 - settings.keep)",
             "lesson.influence <= np.quantile(lesson.influence, settings.keep)",
             "test_stages.py::test_filtered_leaves_out_the_least_helpful_rows"),
    Mutation("weights fall with the influence", f"{ARMS}/shared/weights.py", "np.exp(-slope", "np.exp(slope",
             "test_arms.py::test_weighted_student_follows_the_influence_under_the_teacher"),
    Mutation("reweighted follows the teacher, not the labels", f"{ARMS}/reweighted.py", "lesson.influence_label", "lesson.influence",
             "test_stages.py::test_reweighted_weighs_the_labels_that_help"),
    Mutation("a teacher beside its student goes against the influence", COTRAINING,
             "value - method.influence.weight", "value + method.influence.weight",
             "test_cotraining.py::test_steps_match_the_published_algorithm[published-0.3]"),
    Mutation("deep mutual learning with ProKT's direction of KL", LOSSES,
             "teacher_kl_weight * _kl(logits, student_logits) + student_kl_weight * _kl(student_logits, logits)",
             "(teacher_kl_weight + student_kl_weight) * _kl(logits, student_logits)",
             "test_cotraining.py::test_steps_match_the_published_algorithm[dml-0.3]"),
]

REPORT = [
    Mutation("the interval's deviation with n in place of n − 1", STATISTICS, "values.std(ddof=1) / np.sqrt(n)",
             "values.std(ddof=0) / np.sqrt(n)", "test_statistics.py::test_interval_is_the_one_of_the_t_test"),
    Mutation("differences paired by position", STATISTICS, "interval(a - b)", "interval(a.to_numpy() - b.to_numpy())",
             "test_statistics.py::test_differences_are_paired_by_seed_not_by_position"),
    Mutation("the narrowest of the three errors counts", STATISTICS, "= max((one for one in found", "= min((one for one in found",
             "test_statistics.py::test_the_crossed_test_is_the_widest_of_three"),
    Mutation("p values are not corrected for their number", STATISTICS, 'multipletests(p, SIGNIFICANCE, "holm")[1].tolist()',
             "p", "test_statistics.py::test_holm_is_holm"),
    Mutation("a verdict on the p that is not corrected", VERDICTS, 'test["p_holm"] < SIGNIFICANCE', "True", WINNER),
    Mutation("a verdict on the test alone", VERDICTS, 'difference["low"] > 0', 'difference["high"] > 0', WINNER),
    Mutation("worse where it is better", VERDICTS, "        return BETTER", "        return WORSE", WINNER),
    Mutation("arms are not compared with control", VERDICTS, 'BASELINES = ("kd", "control")', 'BASELINES = ("kd",)',
             "test_report.py::test_every_pair_is_compared_once_with_each_baseline"),
]

STAGES = [
    Mutation("scores stand at the rows in the order of their length", "stages/influence.py", "torch.tensor(order).argsort()",
             "torch.arange(len(order))", OWN_ROWS),
    Mutation("every chunk is scored under the first chunk's teacher", "stages/influence.py", "zip(read_chunks(role_path(\"train\")), targets, strict=True)",
             "((rows, first) for rows, first in zip(read_chunks(role_path('train')), [next(targets)] * 3))", OWN_ROWS),
    Mutation("the second moments of the warm student for every checkpoint", "stages/influence.py", "Checkpoint(each, each, params",
             "Checkpoint(each, folder, params", EARLIER),
    Mutation("the warm student alone is scored", "stages/influence.py", '*sorted((folder / "checkpoints").glob("*")), folder',
             "folder", EARLIER),
    Mutation("a further round scores the warm student", "stages/rounds.py", "Checkpoint(student, cell", 'Checkpoint(cell(seed, "student"), cell', ROUND),
    Mutation("a further round starts at the warm student", "stages/rounds.py", "distil(Network(student)", 'distil(Network(cell(seed, "student"))', ROUND),
    Mutation("a teacher is retrained at its full learning rate", "stages/teacher_tailored.py", "* settings.learning_rate_factor", "",
             RETRAINED),
    Mutation("a teacher is retrained from the warm one, whatever is asked", "stages/teacher_tailored.py",
             'INIT / "teacher" if settings.start == "initial" else self.teacher', "self.teacher", RETRAINED),
    Mutation("retraining leaves out the KL to the student", "stages/teacher_tailored.py", "student_weight=settings.student_weight",
             "student_weight=0.0", RETRAINED),
    Mutation("a retrained teacher's targets are the warm one's", "stages/teacher_tailored.py",
             'Targets(teacher.predict("train", settings.batch_size), teacher)', "Targets(self.warm_logits, teacher)", RETRAINED),
    Mutation("distillation without the weights of the samples", "stages/distill.py", 'if "weight" in taught else None', "if False else None",
             "test_stages.py::test_rows_without_weight_teach_nothing"),
    Mutation("distillation for the same epochs, whatever the arm says", "stages/distill.py", "params.distill.epochs * factor",
             "params.distill.epochs", "test_stages.py::test_the_epochs_factor_lengthens_the_training"),
    Mutation("each arm has an order of its own", "stages/distill.py", "distil(student, taught, params, seed, out)",
             "distil(student, taught, params, seed + len(arm), out)",
             "test_stages.py::test_arms_of_a_seed_share_its_order_and_another_seed_has_another"),
    Mutation("hidden states are not matched", "stages/distill.py", 'if "hidden" in taught', "if False",
             "test_stages.py::test_hidden_states_of_the_teacher_are_matched_with_their_weight"),
    Mutation("the warm student is evaluated for every arm", "stages/evaluate.py", 'Network(cell(seed, arm, "student"))',
             'Network(cell(seed, "student"))', EVALUATED),
    Mutation("a student's agreement is with the warm teacher", "stages/evaluate.py", "teacher_logits = measured.add(\"teacher\", Network(made))",
             "measured.add(\"teacher\", Network(made)); teacher_logits = read_matrix(evaluation(seed, WARMUP) / 'teacher.parquet', 'logits')",
             EVALUATED),
    Mutation("leaderboard predictions in another order than their index", "stages/evaluate.py", "for index in logits.argmax(-1)",
             "for index in logits[::-1].argmax(-1)",
             "test_stages.py::test_a_leaderboards_prediction_stands_at_the_index_of_its_text"),
    Mutation("settings are chosen by the last student, not the kept one", "stages/selection.py", 'params.distill.keep == "best"', "False",
             "test_stages.py::test_selection_says_how_the_kept_students_do"),
    Mutation("precision is not passed on", "stages/network.py", "precision=params.precision", 'precision="fp32"',
             "test_stages.py::test_mixed_precision_is_of_the_training_and_targets_are_what_the_saved_teacher_says"),
]

MUTATIONS = [*DATA, *NETWORKS, *INFLUENCE, *ARM, *REPORT, *STAGES]

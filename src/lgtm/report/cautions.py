"""What a reader has to know before any figure, as sentences."""

from collections.abc import Iterable
from typing import Any

Network = tuple[int, str]  # a seed, and the folder in it: teacher, student, kd/student
Environment = dict[str, Any]


def differing(environments: dict[Network, Environment]) -> dict[str, dict[str, str]]:
    """What of the environments is not the same for all networks: by entry and value, where it holds.

    environments: by network, what it was made with; empty where unknown. Where all are unknown, nothing differs.
    """
    if not any(environments.values()):
        return {}
    found = {}
    for entry in dict.fromkeys(entry for environment in environments.values() for entry in environment):
        networks: dict[str, list[Network]] = {}
        for network, environment in environments.items():
            networks.setdefault(str(environment.get(entry, "unknown")), []).append(network)
        if len(networks) > 1:
            found[entry] = _places(networks)
    return found


def _places(networks: dict[str, list[Network]]) -> dict[str, str]:
    """By value, its networks in words: whole seeds where they are whole, and the most as the others."""
    every = [network for some in networks.values() for network in some]
    whole = {seed: {network for network in every if network[0] == seed} for seed, _ in every}
    most = max(networks, key=lambda value: len(networks[value]))
    places = {}
    for value, own in networks.items():
        parts: dict[tuple[str, ...], list[int]] = {}
        for seed in dict.fromkeys(seed for seed, _ in own):
            inside = [network for network in own if network[0] == seed]
            parts.setdefault(() if set(inside) == whole[seed] else tuple(name for _, name in inside), []).append(seed)
        others = value == most and list(parts) != [()]
        places[value] = "all others" if others else "; ".join(_of_seeds(*part) for part in parts.items())
    return places


def _of_seeds(names: tuple[str, ...], seeds: list[int]) -> str:
    where = f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, sorted(seeds)))}"
    return f"{', '.join(names)} of {where}" if names else where


def mixed_environments(different: dict[str, dict[str, str]]) -> list[str]:
    """That networks of several environments are compared. different: of differing."""
    if not different:
        return []
    said = "; ".join(
        f"{entry} {_listed(f'{value} ({where})' for value, where in places.items())}"
        for entry, places in different.items()
    )
    return [
        f"Cells of different environments are mixed in these figures: {said}. No winner is called; to compare like with"
        " like, make all of them anew with `dvc repro --force`."
    ]


def clean_feedback(label_noise: dict[str, Any], followers: list[str]) -> list[str]:
    """That some arms had labels without planted noise.

    label_noise: of prepare's summary; followers: the arms that follow the influence.
    """
    if not label_noise["fraction"] or "feedback" not in label_noise["clean_roles"] or not followers:
        return []
    arms = _listed(f"`{arm}`" for arm in followers)
    return [
        f"{100 * label_noise['fraction']:g} % of the train labels are planted flips, and none of the feedback labels."
        f" Only what follows the influence ({arms}) had those clean labels, which the other arms never saw: its gain"
        " includes them."
    ]


def crossing_roles(summary: dict[str, Any]) -> list[str]:
    """That roles share groups, or rows that are nearly the same. summary: of prepare."""
    crossing = summary["crossing"]
    said = [
        f"{count:,} of the {summary['roles'][role]['rows']:,} {role} rows"
        for role, count in crossing["near_duplicates"].items()
        if count
    ]
    found = [f"Groups of rows that stand in more than one role: {crossing['groups']:,}."] if crossing["groups"] else []
    return found + ([f"Nearly the same as a row of another role: {_listed(said)}."] if said else [])


def _listed(texts: Iterable[str]) -> str:
    *first, last = texts
    return f"{', '.join(first)} and {last}" if first else last

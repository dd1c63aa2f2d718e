"""What a plan says of memory: methods that say about the same say it in one line."""

from fewtune.cli.told_room import told_room

MIB = 2**20


def method(name, mib, fits, room, slower=None):
    memory = {"predicted": mib * MIB}
    return {"method": name, "fits": fits, "room": room, "slower": slower, "memory": memory}


def too_large(name, mib):
    said = [f"{mib} MiB at the least and 95 MiB may be used.", f"It would fit into {mib} MiB."]
    return method(name, mib, False, said)


def test_methods_without_room_are_one_line_and_full_another():
    found = [too_large("lora", 571), too_large("full", 940), too_large("bitfit", 570)]
    found.append({"method": "tfidf", "fits": True, "room": [], "slower": None, "memory": None})
    full, others = told_room(found, 95 * MIB)
    assert full == ("full: 940 MiB at the least and 95 MiB may be used. It would fit into 940 MiB.")
    assert others == (
        "lora, bitfit: 570 MiB (`bitfit`) to 571 MiB (`lora`) at the least and 95 MiB may be used. "
        "The smallest of them: it would fit into 570 MiB."
    )


def test_what_was_changed_alike_is_told_once_with_its_cost_from_least_to_most():
    change = "to fit into 900 MiB, activations computed twice."
    found = [
        method("full", 899, True, [change, "That takes 1.3 times the time."], 1.31),
        method("lora", 700, True, [change, "That takes 1.5 times the time."], 1.52),
        method("ia3", 700, True, ["to fit into 900 MiB, 8 rows in a pass."]),
    ]
    assert [*told_room(found, 900 * MIB)] == [
        f"full, lora: {change} That takes 1.3 to 1.5 times the time.",
        "ia3: to fit into 900 MiB, 8 rows in a pass.",
    ]


def test_nothing_is_said_where_all_fits_as_it_is():
    assert not [*told_room([method("full", 5, True, [])], 900 * MIB)]

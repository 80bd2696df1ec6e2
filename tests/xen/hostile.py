# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that attacks its device (tests/vm/guest/hostile) beside one that works, on Xen."""

# Those that reach the shell and Xen's way to memory; the rest is the vm suite's.
ATTACKS = ("registers", "queues", "rings", "buffers", "bars")
SLOT = "0000:00:1e.0"


def attack(test, attacker, neighbour, begin_stress, slot=SLOT):
    """Every attack is refused or contained, and the neighbour does not notice.

    begin_stress(guest, seconds) returns once the guest has its session.
    """
    failed = []
    for name in ATTACKS:
        begin_stress(neighbour, 3)
        result = attacker.run(f"hostile --divide 4 {name}", 600)
        if result.status != 0 or "not ok" in result.output:
            failed.append(result)
            attacker.run(f"echo {slot} >/sys/bus/pci/drivers/vgpu_stub/bind")
        result = neighbour.collect("stress")
        test.assertEqual(result.status, 0, result)
    test.assertEqual(failed, [])
    test.assertIn("0 errors", attacker.check("gpu_test vector_add"))

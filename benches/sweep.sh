#!/usr/bin/env bash
# The steps to the preset classic, and what lies around it: one table of benches/real_data.sh a step.
#
#   benches/sweep.sh DATA > sweep.txt
set -euo pipefail
data=${1:?usage: benches/sweep.sh DATA}
here=$(dirname "$0")
ones=1,1,1,1,1,1
taps=block4.exp,block5.exp,block7.exp,block10.exp,block11.exp,block15.exp
while read -r name options; do
    printf '\n## %s\n' "${name//_/ }"
    # shellcheck disable=SC2086
    "$here/real_data.sh" "$data" --preset classic $options </dev/null
done <<STEPS
classic
first_prototype:_four_taps,_large_windows,_forward,_plain_sum --layers block2.exp,block4.exp,block10.exp,block14.exp --patches 7,5,3,3 --alpha 1 --baseline none --weights 1,1,1,1 --fusion sum
taps_of_classic,_plain_sum --baseline none --weights $ones --fusion sum
with_weights_from_good_parts --baseline none --fusion sum
with_baseline,_no_weights --weights $ones --fusion sum
with_baseline_and_weights,_sum --fusion sum
classic,_forward_only --alpha 1
classic,_equal_parts_of_backward --alpha 0.5
classic,_windows_of_1 --patches 1,1,1,1,1,1
classic,_windows_of_5 --patches 5,5,5,5,3,3
classic,_and_block2.exp --layers block2.exp,$taps --patches 5,3,3,3,3,3,3
classic,_published_hard-nominal_rule --hard-rule sum
classic,_stored_as_f32 --storage f32
STEPS

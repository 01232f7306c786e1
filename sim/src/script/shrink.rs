//! The smallest script that still fails.

use super::Script;

/// Drops faults and steps as long as the script fails, which `fails` decides.
pub fn shrink(script: &Script, mut fails: impl FnMut(&Script) -> bool) -> Script {
    let mut smallest = script.clone();
    loop {
        let before = smallest.clone();
        smallest = drop_parts(
            smallest,
            |script| script.faults.len(),
            |script, range| drop(script.faults.drain(range)),
            &mut fails,
        );
        smallest = drop_parts(
            smallest,
            |script| script.steps.len(),
            |script, range| drop(script.steps.drain(range)),
            &mut fails,
        );
        for plain in [Script { mutates: false, ..smallest.clone() }, Script { has_lease: false, ..smallest.clone() }] {
            if plain != smallest && fails(&plain) {
                smallest = plain;
            }
        }
        if smallest == before {
            return smallest;
        }
    }
}

/// Drops ranges of one list, halving their length until single items remain.
fn drop_parts(
    mut script: Script,
    len: impl Fn(&Script) -> usize,
    cut: impl Fn(&mut Script, std::ops::Range<usize>),
    fails: &mut impl FnMut(&Script) -> bool,
) -> Script {
    let mut size = len(&script).div_ceil(2);
    while size > 0 {
        let mut start = 0;
        while start < len(&script) {
            let mut shorter = script.clone();
            cut(&mut shorter, start..(start + size).min(len(&script)));
            if fails(&shorter) {
                script = shorter;
            } else {
                start += size;
            }
        }
        size /= 2;
    }
    script
}

#[cfg(test)]
mod tests {
    use super::super::generate;
    use super::*;

    #[test]
    fn only_what_makes_it_fail_is_left() {
        let script = (0..100).map(generate).find(|script| script.faults.len() > 3).unwrap();
        let (culprit, step) = (script.faults[2], script.steps[5].clone());
        let small = shrink(&script, |script| script.faults.contains(&culprit) && script.steps.contains(&step));
        assert_eq!((small.faults, small.steps), (vec![culprit], vec![step]));
    }
}

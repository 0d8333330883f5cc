use std::collections::HashSet;

use super::*;
use proptest::prelude::*;

const SIZE: u64 = ReplayWindow::SIZE;

#[test]
fn numbers_come_once_in_any_order() {
    let mut window = ReplayWindow::new();
    assert_eq!(window.check(0), Err(Replay::Zero));
    assert_eq!(window.mark(3), Ok(true));
    assert_eq!(window.mark(1), Ok(false));
    assert_eq!(window.mark(2), Ok(false));
    for number in 1..=3 {
        assert_eq!(window.check(number), Err(Replay::Duplicate));
        assert_eq!(window.mark(number), Err(Replay::Duplicate));
    }
    assert_eq!(window.check(4), Ok(true));
    assert_eq!(window.highest(), 3);
}

#[test]
fn the_left_edge_is_exact() {
    let mut window = ReplayWindow::new();
    assert_eq!(window.mark(SIZE + 1), Ok(true));
    assert_eq!(window.check(1), Err(Replay::TooOld));
    assert_eq!(window.check(2), Ok(false));
    assert_eq!(window.mark(SIZE + 2), Ok(true));
    assert_eq!(window.check(2), Err(Replay::TooOld));
    assert_eq!(window.check(3), Ok(false));
}

#[test]
fn a_check_alone_marks_nothing() {
    let window = ReplayWindow::new();
    assert_eq!(window.check(9), Ok(true));
    assert_eq!(window.check(9), Ok(true));
}

#[test]
fn a_jump_forgets_everything_behind_it() {
    for jump in [
        SIZE,
        SIZE + 1,
        2048,
        2049,
        4096,
        1 << 31,
        1 << 32,
        u64::MAX - 1,
    ] {
        let mut window = ReplayWindow::new();
        for number in 1..=SIZE {
            assert!(window.mark(number).is_ok());
        }
        let highest = jump.saturating_add(SIZE);
        assert_eq!(window.mark(highest), Ok(true), "{jump}");
        assert_eq!(window.check(highest), Err(Replay::Duplicate));
        for number in highest - SIZE + 1..highest {
            let expected = if number <= SIZE {
                Err(Replay::Duplicate)
            } else {
                Ok(false)
            };
            assert_eq!(window.check(number), expected, "{jump} {number}");
        }
    }
}

#[test]
fn the_last_number_is_the_last() {
    let mut window = ReplayWindow::new();
    assert_eq!(window.mark(u64::MAX), Ok(true));
    assert_eq!(window.mark(u64::MAX), Err(Replay::Duplicate));
    assert_eq!(window.check(1), Err(Replay::TooOld));
    assert_eq!(window.mark(u64::MAX - SIZE + 1), Ok(false));
    assert_eq!(window.check(u64::MAX - SIZE), Err(Replay::TooOld));
}

/// RFC 4303 appendix A2.1 and A2.2, with a window of W: case A, where the window lies in one cycle
/// of the lower half, and case B, where it spans two.
#[test]
fn the_upper_half_is_inferred_as_in_appendix_a() {
    let window = |highest: u64| {
        let mut window = ReplayWindow::new();
        if highest > 0 {
            window.mark(highest).unwrap();
        }
        window
    };
    let cycle = 1_u64 << 32;
    let inferred = |highest, low: u64| window(highest).infer(u32::try_from(low).unwrap());
    for th in [0, 1, 2, u64::from(u32::MAX) - 1] {
        let at = |low| th * cycle + low;
        // Case A: Tl >= W - 1.
        for tl in [SIZE - 1, SIZE, 5000, cycle - 1] {
            let left = tl + 1 - SIZE;
            for low in [left, left + 1, tl, cycle - 1] {
                assert_eq!(inferred(at(tl), low), Some(at(low)), "{th} {tl} {low}");
            }
            for low in [0, left.saturating_sub(1)]
                .into_iter()
                .filter(|low| *low < left)
            {
                assert_eq!(
                    inferred(at(tl), low),
                    Some(at(low) + cycle),
                    "{th} {tl} {low}"
                );
            }
        }
        // Case B: Tl < W - 1.
        for tl in [0, 1, 500, SIZE - 2] {
            let left = cycle + tl + 1 - SIZE;
            for low in [left, cycle - 1] {
                let expected = at(low).checked_sub(cycle);
                assert_eq!(inferred(at(tl), low), expected, "{th} {tl} {low}");
            }
            for low in [0, tl, tl + 1, left - 1] {
                assert_eq!(inferred(at(tl), low), Some(at(low)), "{th} {tl} {low}");
            }
        }
    }
    // There is nothing behind the last cycle.
    let last = u64::MAX - 5;
    assert_eq!(inferred(last, 0xffff_ffff), Some(u64::MAX));
    assert_eq!(inferred(last, 0), None);
}

/// What should be true: every number ever marked, and the highest.
#[derive(Default)]
struct Model {
    marked: HashSet<u64>,
    highest: u64,
}

impl Model {
    fn mark(&mut self, number: u64) -> Result<bool, Replay> {
        if number == 0 {
            Err(Replay::Zero)
        } else if self.highest.saturating_sub(number) >= SIZE {
            Err(Replay::TooOld)
        } else if !self.marked.insert(number) {
            Err(Replay::Duplicate)
        } else {
            let newest = number > self.highest;
            self.highest = self.highest.max(number);
            Ok(newest)
        }
    }
}

/// Steps from the highest number so far: mostly near, some far, some to the window's edges.
fn step() -> impl Strategy<Value = i128> {
    let size = i128::from(SIZE);
    prop_oneof![
        8 => -70_i128..70,
        4 => -size - 3..-size + 3,
        4 => -size..size,
        2 => 2040_i128..2060,
        1 => 0_i128..1 << 32,
        1 => 0_i128..1 << 64,
    ]
}

proptest! {
    #[test]
    fn the_window_does_what_a_set_would(
        start in prop_oneof![Just(0_u64), any::<u32>().prop_map(u64::from), any::<u64>()],
        steps in proptest::collection::vec(step(), 1..400),
    ) {
        let mut window = ReplayWindow::new();
        let mut model = Model::default();
        if start > 0 {
            prop_assert_eq!(window.mark(start), model.mark(start));
        }
        for step in steps {
            let number = (i128::from(model.highest) + step).clamp(0, i128::from(u64::MAX)) as u64;
            let checked = window.check(number);
            prop_assert_eq!(checked, model.mark(number), "{}", number);
            prop_assert_eq!(window.mark(number), checked);
            prop_assert_eq!(window.highest(), model.highest);
        }
    }

    #[test]
    fn the_inferred_number_is_the_only_one_near(highest: u64, low: u32) {
        let mut window = ReplayWindow::new();
        if highest > 0 {
            window.mark(highest).unwrap();
        }
        let left = i128::from(highest) - i128::from(SIZE) + 1;
        let low_of = |number: i128| number.rem_euclid(1 << 32);
        let number = left + (i128::from(low) - low_of(left)).rem_euclid(1 << 32);
        prop_assert_eq!(low_of(number), i128::from(low));
        prop_assert_eq!(window.infer(low), u64::try_from(number).ok());
    }
}

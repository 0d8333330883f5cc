use std::collections::HashSet;

use super::*;
use proptest::prelude::*;

const SIZE: u32 = ReplayWindow::SIZE;

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
    for jump in [SIZE, SIZE + 1, 2048, 2049, 4096, 1 << 31, u32::MAX - 1] {
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
    assert_eq!(window.mark(u32::MAX), Ok(true));
    assert_eq!(window.mark(u32::MAX), Err(Replay::Duplicate));
    assert_eq!(window.check(1), Err(Replay::TooOld));
    assert_eq!(window.mark(u32::MAX - SIZE + 1), Ok(false));
    assert_eq!(window.check(u32::MAX - SIZE), Err(Replay::TooOld));
}

/// What should be true: every number ever marked, and the highest.
#[derive(Default)]
struct Model {
    marked: HashSet<u32>,
    highest: u32,
}

impl Model {
    fn mark(&mut self, number: u32) -> Result<bool, Replay> {
        if number == 0 {
            Err(Replay::Zero)
        } else if u64::from(number) + u64::from(SIZE) <= u64::from(self.highest) {
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
fn step() -> impl Strategy<Value = i64> {
    let size = i64::from(SIZE);
    prop_oneof![
        8 => -70_i64..70,
        4 => -size - 3..-size + 3,
        4 => -size..size,
        2 => 2040_i64..2060,
        1 => 0_i64..1 << 32,
    ]
}

proptest! {
    #[test]
    fn the_window_does_what_a_set_would(
        start in prop_oneof![Just(0_u32), any::<u32>()],
        steps in proptest::collection::vec(step(), 1..400),
    ) {
        let mut window = ReplayWindow::new();
        let mut model = Model::default();
        if start > 0 {
            prop_assert_eq!(window.mark(start), model.mark(start));
        }
        for step in steps {
            let number = (i64::from(model.highest) + step).clamp(0, i64::from(u32::MAX)) as u32;
            let checked = window.check(number);
            prop_assert_eq!(checked, model.mark(number), "{}", number);
            prop_assert_eq!(window.mark(number), checked);
            prop_assert_eq!(window.highest(), model.highest);
        }
    }
}

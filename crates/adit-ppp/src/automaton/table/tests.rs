//! The table against the text of RFC 1661 section 4.1, in the RFC's own notation.

use super::*;

/// Columns 0 to 5, then 6 to 9, as printed. Of the notes, `r` (restart option) and `p` (passive
/// option) are options that are not used, and `x` (crossed connection) has no action of its own.
const LEFT: &str = "
 Up   |    2     irc,scr/6     -         -         -         -
 Down |    -         -         0       tls/1       0         1
 Open |  tls/1       1     irc,scr/6     3r        5r        5r
 Close|    0       tlf/0       2         2         4         4
  TO+ |    -         -         -         -       str/4     str/5
  TO- |    -         -         -         -       tlf/2     tlf/3
 RCR+ |    -         -       sta/2 irc,scr,sca/8   4         5
 RCR- |    -         -       sta/2 irc,scr,scn/6   4         5
 RCA  |    -         -       sta/2     sta/3       4         5
 RCN  |    -         -       sta/2     sta/3       4         5
 RTR  |    -         -       sta/2     sta/3     sta/4     sta/5
 RTA  |    -         -         2         3       tlf/2     tlf/3
 RUC  |    -         -       scj/2     scj/3     scj/4     scj/5
 RXJ+ |    -         -         2         3         4         5
 RXJ- |    -         -       tlf/2     tlf/3     tlf/2     tlf/3
 RXR  |    -         -         2         3         4         5
";
const RIGHT: &str = "
 Up   |    -         -         -           -
 Down |    1         1         1         tld/1
 Open |    6         7         8           9r
 Close|irc,str/4 irc,str/4 irc,str/4 tld,irc,str/4
  TO+ |  scr/6     scr/6     scr/8         -
  TO- | tlf/3p    tlf/3p    tlf/3p         -
 RCR+ |  sca/8   sca,tlu/9   sca/8   tld,scr,sca/8
 RCR- |  scn/6     scn/7     scn/6   tld,scr,scn/6
 RCA  |  irc/7     scr/6x  irc,tlu/9   tld,scr/6x
 RCN  |irc,scr/6   scr/6x  irc,scr/8   tld,scr/6x
 RTR  |  sta/6     sta/6     sta/6   tld,zrc,sta/5
 RTA  |    6         6         8       tld,scr/6
 RUC  |  scj/6     scj/7     scj/8     scj/9
 RXJ+ |    6         6         8           9
 RXJ- | tlf/3     tlf/3     tlf/3     tld,irc,str/5
 RXR  |    6         7         8         ser/9
";

fn input(name: &str) -> Input {
    match name {
        "Up" => Input::Up,
        "Down" => Input::Down,
        "Open" => Input::Open,
        "Close" => Input::Close,
        "TO+" => Input::TimeoutMore,
        "TO-" => Input::TimeoutLast,
        "RCR+" => Input::RcrGood,
        "RCR-" => Input::RcrBad,
        "RCA" => Input::Rca,
        "RCN" => Input::Rcn,
        "RTR" => Input::Rtr,
        "RTA" => Input::Rta,
        "RUC" => Input::Ruc,
        "RXJ+" => Input::RxjGood,
        "RXJ-" => Input::RxjBad,
        "RXR" => Input::Rxr,
        other => panic!("{other}"),
    }
}

fn cell(state: State, input: Input) -> String {
    let Some((actions, next)) = transition(state, input) else {
        return "-".to_owned();
    };
    let number = STATES.iter().position(|column| *column == next).unwrap();
    let actions: Vec<_> = actions
        .iter()
        .map(|action| format!("{action:?}").to_lowercase())
        .collect();
    match actions.as_slice() {
        [] => number.to_string(),
        _ => format!("{}/{number}", actions.join(",")),
    }
}

#[test]
fn every_cell_is_the_rfcs() {
    let mut cells = 0;
    for (table, states) in [(LEFT, &STATES[..6]), (RIGHT, &STATES[6..])] {
        for line in table.lines().filter(|line| !line.is_empty()) {
            let (name, columns) = line.split_once('|').unwrap();
            let columns: Vec<_> = columns.split_whitespace().collect();
            assert_eq!(columns.len(), states.len(), "{line}");
            for (column, state) in columns.into_iter().zip(states) {
                let expected = column.trim_end_matches(['r', 'p', 'x']);
                let found = cell(*state, input(name.trim()));
                assert_eq!(found, expected, "{} in {state}", name.trim());
                cells += 1;
            }
        }
    }
    assert_eq!(cells, 160);
}

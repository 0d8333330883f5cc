use super::*;

const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

fn to(port: u16, payload: &[u8]) -> Datagram<'_> {
    Datagram {
        local: LOCAL,
        remote: SocketAddr::from(([198, 51, 100, 7], port)),
        payload,
    }
}

/// Datagrams of these sizes to one destination.
fn sized(sizes: &[usize]) -> Vec<Datagram<'static>> {
    static ZEROS: [u8; 65_507] = [0; 65_507];
    sizes.iter().map(|size| to(1, &ZEROS[..*size])).collect()
}

/// Sends by calls that `answer` answers for each number of datagrams in the first run, and returns
/// the result with the runs of each call.
fn calls(
    batch: &[Datagram<'_>],
    segmentation: &AtomicBool,
    mut answer: impl FnMut(&[usize]) -> io::Result<usize>,
) -> (io::Result<usize>, Vec<Vec<usize>>) {
    let mut seen = Vec::new();
    let result = by_calls(batch, segmentation, |runs| {
        let lengths: Vec<usize> = runs.iter().map(|run| run.len()).collect();
        let result = answer(&lengths);
        seen.push(lengths);
        result
    });
    (result, seen)
}

fn error(errno: i32) -> io::Error {
    io::Error::from_raw_os_error(errno)
}

#[test]
fn a_run_is_of_one_size_with_a_shorter_end() {
    for (sizes, length) in [
        (&[][..], 0),
        (&[10], 1),
        (&[10, 10, 10], 3),
        (&[10, 10, 9, 9], 3),
        (&[10, 11], 1),
        (&[10, 10, 11], 2),
        (&[10, 0], 1),
        (&[0, 0], 1),
        (&[40_000, 25_000, 1], 2),
        (&[40_000, 25_001], 1),
        (&[32_500, 32_500], 2),
        (&[10; 100], SEGMENTS),
        (&[1400; 100], 46),
    ] {
        assert_eq!(run_length(&sized(sizes)), length, "{sizes:?}");
    }
}

#[test]
fn a_run_goes_one_way() {
    let elsewhere = [to(1, b"aa"), to(2, b"bb")];
    assert_eq!(run_length(&elsewhere), 1);
    let mut from_elsewhere = [to(1, b"aa"), to(1, b"bb")];
    from_elsewhere[1].local = "192.0.2.2".parse().unwrap();
    assert_eq!(run_length(&from_elsewhere), 1);
}

#[test]
fn one_call_takes_as_much_as_it_has_room_for() {
    let on = AtomicBool::new(true);
    let (result, seen) = calls(&sized(&[10; 300]), &on, |runs| Ok(runs.len()));
    assert_eq!(result.unwrap(), 300);
    assert_eq!(seen, [vec![64, 64], vec![64, 64], vec![44]]);

    let rising: Vec<usize> = (1..=40).collect();
    let (result, seen) = calls(&sized(&rising), &on, |runs| Ok(runs.len()));
    assert_eq!(result.unwrap(), 40);
    assert_eq!(seen, [vec![1; MESSAGES], vec![1; 8]]);
}

#[test]
fn without_segmentation_each_datagram_is_a_message() {
    let off = AtomicBool::new(false);
    let (result, seen) = calls(&sized(&[10; 33]), &off, |runs| Ok(runs.len()));
    assert_eq!(result.unwrap(), 33);
    assert_eq!(seen, [vec![1; MESSAGES], vec![1]]);
}

#[test]
fn a_device_that_cannot_segment_is_not_asked_again() {
    let on = AtomicBool::new(true);
    let (result, seen) = calls(&sized(&[10, 10, 10, 20, 20]), &on, |runs| {
        if runs[0] > 1 {
            Err(error(libc::EIO))
        } else {
            Ok(runs.len())
        }
    });
    assert_eq!(result.unwrap(), 5);
    assert_eq!(seen, [vec![3, 2], vec![1; 3], vec![1; 2]]);
    assert!(!on.load(Ordering::Relaxed));
}

#[test]
fn a_path_that_is_too_narrow_changes_nothing_for_the_others() {
    for errno in [libc::EINVAL, libc::EMSGSIZE] {
        let on = AtomicBool::new(true);
        let (result, seen) = calls(&sized(&[10, 10, 10, 20, 20]), &on, |runs| {
            if runs[0] == 3 {
                Err(error(errno))
            } else {
                Ok(runs.len())
            }
        });
        assert_eq!(result.unwrap(), 5);
        assert_eq!(seen, [vec![3, 2], vec![1; 3], vec![2]]);
        assert!(on.load(Ordering::Relaxed));
    }
}

#[test]
fn other_errors_cost_one_run_and_a_full_queue_the_rest() {
    let on = AtomicBool::new(true);
    let batch = sized(&[10, 10, 10, 20, 20]);
    let (result, seen) = calls(&batch, &on, |runs| {
        if runs[0] == 3 {
            Err(error(libc::ENETUNREACH))
        } else {
            Ok(runs.len())
        }
    });
    assert_eq!(result.unwrap(), 2);
    // Twice, since the first time it might have been of something sent earlier.
    assert_eq!(seen, [vec![3, 2], vec![3, 2], vec![2]]);

    let mut earlier = Some(error(libc::ENETUNREACH));
    let (result, seen) = calls(&batch, &on, |runs| match earlier.take() {
        Some(error) => Err(error),
        None => Ok(runs.len()),
    });
    assert_eq!(result.unwrap(), 5);
    assert_eq!(seen, [vec![3, 2], vec![3, 2]]);

    let (result, seen) = calls(&batch, &on, |_| Err(error(libc::EAGAIN)));
    assert_eq!(result.unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert_eq!(seen.len(), 1);

    let mut interrupted = false;
    let (result, seen) = calls(&batch, &on, |runs| {
        if std::mem::replace(&mut interrupted, true) {
            Ok(runs.len())
        } else {
            Err(error(libc::EINTR))
        }
    });
    assert_eq!(result.unwrap(), 5);
    assert_eq!(seen.len(), 2);
}

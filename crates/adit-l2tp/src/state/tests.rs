use super::*;

const TUNNEL_STATES: [TunnelState; 7] = [
    TunnelState::Idle,
    TunnelState::WaitCtlReply,
    TunnelState::WaitCtlConn,
    TunnelState::Established,
    TunnelState::Stopping,
    TunnelState::Stopped,
    TunnelState::Closed,
];

const TUNNEL_INPUTS: [TunnelInput; 14] = [
    TunnelInput::Sccrq,
    TunnelInput::LoseTie,
    TunnelInput::DrawTie,
    TunnelInput::Sccrp,
    TunnelInput::Scccn,
    TunnelInput::Hello,
    TunnelInput::StopCcn,
    TunnelInput::SessionMessage,
    TunnelInput::Fault,
    TunnelInput::Close,
    TunnelInput::SetupTimeout,
    TunnelInput::GaveUp,
    TunnelInput::AllAcknowledged,
    TunnelInput::LingerTimeout,
];

const SESSION_STATES: [SessionState; 5] = [
    SessionState::Idle,
    SessionState::WaitTunnel,
    SessionState::WaitReply,
    SessionState::WaitConnect,
    SessionState::Established,
];

const SESSION_INPUTS: [SessionInput; 9] = [
    SessionInput::Call,
    SessionInput::TunnelOpen,
    SessionInput::Icrq,
    SessionInput::Icrp,
    SessionInput::Iccn,
    SessionInput::Cdn,
    SessionInput::Fault,
    SessionInput::Close,
    SessionInput::SetupTimeout,
];

/// Every transition that does something, one a line.
fn table<S: Copy + PartialEq + std::fmt::Display, I: Copy + std::fmt::Debug, A>(
    states: &[S],
    inputs: &[I],
    transition: impl Fn(S, I) -> (A, S),
) -> String
where
    A: std::fmt::Debug,
{
    let mut text = String::new();
    for state in states {
        for input in inputs {
            let (action, next) = transition(*state, *input);
            let action = format!("{action:?}");
            if action != "Nothing" || next != *state {
                text.push_str(&format!("{state}: {input:?} -> {action}, {next}\n"));
            }
        }
    }
    text
}

#[test]
fn the_table_of_control_connections() {
    let expected = "\
idle: Sccrq -> SendSccrp, wait-ctl-conn
idle: Fault -> SendStopCcn, stopping
idle: Close -> Nothing, closed
wait-ctl-reply: Sccrq -> SendStateError, stopping
wait-ctl-reply: LoseTie -> StartOver, idle
wait-ctl-reply: DrawTie -> CleanUp, closed
wait-ctl-reply: Sccrp -> SendScccn, established
wait-ctl-reply: Scccn -> SendStateError, stopping
wait-ctl-reply: StopCcn -> CleanUp, stopped
wait-ctl-reply: SessionMessage -> SendStateError, stopping
wait-ctl-reply: Fault -> SendStopCcn, stopping
wait-ctl-reply: Close -> SendStopCcn, stopping
wait-ctl-reply: SetupTimeout -> SendStopCcn, stopping
wait-ctl-reply: GaveUp -> CleanUp, closed
wait-ctl-conn: Sccrq -> SendStateError, stopping
wait-ctl-conn: Sccrp -> SendStateError, stopping
wait-ctl-conn: Scccn -> Open, established
wait-ctl-conn: StopCcn -> CleanUp, stopped
wait-ctl-conn: SessionMessage -> SendStateError, stopping
wait-ctl-conn: Fault -> SendStopCcn, stopping
wait-ctl-conn: Close -> SendStopCcn, stopping
wait-ctl-conn: SetupTimeout -> SendStopCcn, stopping
wait-ctl-conn: GaveUp -> CleanUp, closed
established: Sccrq -> SendStateError, stopping
established: Sccrp -> SendStateError, stopping
established: Scccn -> SendStateError, stopping
established: StopCcn -> CleanUp, stopped
established: SessionMessage -> Deliver, established
established: Fault -> SendStopCcn, stopping
established: Close -> SendStopCcn, stopping
established: SetupTimeout -> SendStopCcn, stopping
established: GaveUp -> CleanUp, closed
stopping: StopCcn -> Nothing, stopped
stopping: GaveUp -> Nothing, closed
stopping: AllAcknowledged -> Nothing, closed
stopped: LingerTimeout -> Nothing, closed
";
    assert_eq!(table(&TUNNEL_STATES, &TUNNEL_INPUTS, tunnel), expected);
}

#[test]
fn the_table_of_sessions() {
    let expected = "\
idle: Call -> Nothing, wait-tunnel
idle: Icrq -> SendIcrp, wait-connect
idle: Fault -> SendCdn, idle
wait-tunnel: TunnelOpen -> SendIcrq, wait-reply
wait-tunnel: Close -> CleanUp, idle
wait-tunnel: SetupTimeout -> CleanUp, idle
wait-reply: Icrq -> SendStateError, idle
wait-reply: Icrp -> SendIccn, established
wait-reply: Iccn -> SendStateError, idle
wait-reply: Cdn -> CleanUp, idle
wait-reply: Fault -> SendCdn, idle
wait-reply: Close -> SendCdn, idle
wait-reply: SetupTimeout -> SendCdn, idle
wait-connect: Icrq -> SendStateError, idle
wait-connect: Icrp -> SendStateError, idle
wait-connect: Iccn -> Open, established
wait-connect: Cdn -> CleanUp, idle
wait-connect: Fault -> SendCdn, idle
wait-connect: Close -> SendCdn, idle
wait-connect: SetupTimeout -> SendCdn, idle
established: Icrq -> SendStateError, idle
established: Icrp -> SendStateError, idle
established: Iccn -> SendStateError, idle
established: Cdn -> CleanUp, idle
established: Fault -> SendCdn, idle
established: Close -> SendCdn, idle
established: SetupTimeout -> SendCdn, idle
";
    assert_eq!(table(&SESSION_STATES, &SESSION_INPUTS, session), expected);
}

#[test]
fn a_tunnel_is_open_until_it_is_stopped() {
    let open = TUNNEL_STATES.map(TunnelState::is_open);
    assert_eq!(open, [false, true, true, true, false, false, false]);
}

//! Who gets a connection when there are no more, who waits, and who is refused (S-260).

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::net::TcpStream;

use super::support::{
    App, Front, GET, OK, Options, app, at, front, read_to_close, read_until, send,
};
use crate::{
    clock::{Clock, ManualClock, Timestamp},
    upstream::{
        Caller, Seats,
        seats::{AppKey, LONGEST_WAIT},
    },
};

const CROWDED: &str = "HTTP/1.1 503 ";

fn seats(connections: usize, apps: usize) -> Arc<Seats> {
    Arc::new(Seats::new(connections, apps))
}

/// A thread that forwards to `app`.
async fn thread(app: &App, seats: &Arc<Seats>, caller: Caller, clock: &Clock) -> Front {
    let options = Options {
        seats: Arc::clone(seats),
        caller,
        clock: clock.clone(),
        head_timeout: Duration::from_hours(1),
        ..Options::default()
    };
    front(app.port, options).await
}

async fn people(app: &App, seats: &Arc<Seats>) -> Front {
    thread(app, seats, Caller::Person, &Clock::system()).await
}

fn address(app: &App) -> AppKey {
    AppKey {
        addresses: vec![at(app.port)],
        tls: None,
    }
}

/// Waits until so many requests wait for a connection to `app`.
async fn waiting(seats: &Seats, app: &App, count: usize) {
    let waiting = async {
        while seats.queued(&address(app)) != count {
            tokio::task::yield_now().await;
        }
    };
    let waiting = tokio::time::timeout(Duration::from_secs(10), waiting).await;
    waiting.expect("they come to wait");
}

/// Begins a request, and takes it as the app does.
async fn under_way(front: &Front, app: &mut App) -> (TcpStream, TcpStream) {
    let client = front.begin(GET).await;
    let mut connection = app.connection().await;
    read_until(&mut connection, "\r\n\r\n").await;
    (client, connection)
}

/// The one of two connections on which a request comes.
async fn whichever_hears(connections: &mut [TcpStream; 2]) -> &mut TcpStream {
    let [one, other] = connections;
    tokio::select! {
        _ = read_until(one, "\r\n\r\n") => one,
        _ = read_until(other, "\r\n\r\n") => other,
    }
}

async fn is_answered(client: &mut TcpStream) {
    let answer = read_to_close(client).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn whoever_finds_no_seat_gets_the_connection_that_comes_back_in_the_order_of_coming() {
    let mut app = app().await;
    let seats = seats(1, 1);
    // Two threads, so that an idle connection of one is of use to the other.
    let threads = [people(&app, &seats).await, people(&app, &seats).await];
    let (mut first, mut connection) = under_way(&threads[0], &mut app).await;
    let mut others = Vec::new();
    for number in 0..6 {
        let request = GET.replace("/a?", &format!("/{number}?"));
        others.push(threads[number % 2].begin(&request).await);
        waiting(&seats, &app, number + 1).await;
    }
    send(&mut connection, OK).await;
    is_answered(&mut first).await;
    for (number, mut other) in others.into_iter().enumerate() {
        let head = read_until(&mut connection, "\r\n\r\n").await;
        assert!(head.starts_with(&format!("GET /{number}?")), "{head}");
        send(&mut connection, OK).await;
        is_answered(&mut other).await;
    }
    assert_eq!(app.accepted.load(Ordering::SeqCst), 1);
    assert_eq!(seats.queued(&address(&app)), 0);
}

#[tokio::test]
async fn an_idle_connection_of_another_thread_is_taken_before_anybody_waits() {
    let mut app = app().await;
    let seats = seats(1, 1);
    let threads = [people(&app, &seats).await, people(&app, &seats).await];
    let (mut client, mut connection) = under_way(&threads[0], &mut app).await;
    send(&mut connection, OK).await;
    is_answered(&mut client).await;
    for thread in threads.iter().rev().chain(&threads) {
        let mut client = thread.begin(GET).await;
        read_until(&mut connection, "\r\n\r\n").await;
        send(&mut connection, OK).await;
        is_answered(&mut client).await;
    }
    assert_eq!(app.accepted.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_connection_that_ends_gives_its_seat_to_whoever_waits() {
    let mut app = app().await;
    let seats = seats(1, 1);
    let front = people(&app, &seats).await;
    // The app closes, an answer cannot be read, the client goes.
    for end in [None, Some("garbage\r\n\r\n"), Some("")] {
        let (client, mut connection) = under_way(&front, &mut app).await;
        let mut second = front.begin(GET).await;
        waiting(&seats, &app, 1).await;
        let mut client = Some(client);
        match end {
            None => drop(connection),
            Some("") => {
                client = None;
                assert_eq!(read_to_close(&mut connection).await, "");
            }
            Some(answer) => send(&mut connection, answer).await,
        }
        let mut connection = app.connection().await;
        read_until(&mut connection, "\r\n\r\n").await;
        send(
            &mut connection,
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        )
        .await;
        is_answered(&mut second).await;
        drop(client);
    }
}

#[tokio::test]
async fn whoever_gave_up_waiting_is_passed_over() {
    let mut app = app().await;
    let seats = seats(1, 1);
    let front = people(&app, &seats).await;
    let (mut first, mut connection) = under_way(&front, &mut app).await;
    for _ in 0..50 {
        let given_up = front.begin(GET).await;
        waiting(&seats, &app, 1).await;
        drop(given_up);
        waiting(&seats, &app, 0).await;
    }
    let mut patient = front.begin(GET).await;
    waiting(&seats, &app, 1).await;
    send(&mut connection, OK).await;
    is_answered(&mut first).await;
    read_until(&mut connection, "\r\n\r\n").await;
    send(&mut connection, OK).await;
    is_answered(&mut patient).await;
    assert_eq!(app.accepted.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn nobody_waits_for_ever() {
    let mut app = app().await;
    let seats = seats(1, 1);
    let time = ManualClock::starting_at(Timestamp::from_unix_seconds(0));
    let front = thread(&app, &seats, Caller::Person, &time.clock()).await;
    let (_hung, _connection) = under_way(&front, &mut app).await;
    let mut second = front.begin(GET).await;
    waiting(&seats, &app, 1).await;
    time.advance(LONGEST_WAIT * 99 / 100);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    waiting(&seats, &app, 1).await;
    time.advance(LONGEST_WAIT / 100);
    let answer = read_to_close(&mut second).await;
    assert!(answer.starts_with(CROWDED), "{answer}");
    assert!(answer.ends_with("upstream_crowded"), "{answer}");
    waiting(&seats, &app, 0).await;
}

#[tokio::test]
async fn strangers_never_take_all_that_an_app_may_have() {
    let mut app = app().await;
    let seats = seats(4, 1);
    let time = ManualClock::starting_at(Timestamp::from_unix_seconds(0));
    let strangers = thread(&app, &seats, Caller::Stranger, &time.clock()).await;
    let people = thread(&app, &seats, Caller::Person, &time.clock()).await;
    let _first = under_way(&strangers, &mut app).await;
    let (mut second, mut connection) = under_way(&strangers, &mut app).await;
    let mut third = strangers.begin(GET).await;
    let (mut person, mut of_person) = under_way(&people, &mut app).await;
    let _other = under_way(&people, &mut app).await;
    // An idle connection is of no use to a stranger whose turn it is not.
    send(&mut of_person, OK).await;
    is_answered(&mut person).await;
    let mut person = people.begin(GET).await;
    read_until(&mut of_person, "\r\n\r\n").await;
    send(&mut of_person, OK).await;
    is_answered(&mut person).await;
    // It is once another has had its answer.
    send(&mut connection, OK).await;
    is_answered(&mut second).await;
    let mut idle = [connection, of_person];
    let used = whichever_hears(&mut idle).await;
    send(used, OK).await;
    is_answered(&mut third).await;
    let _third = strangers.begin(GET).await;
    whichever_hears(&mut idle).await;
    let mut fourth = strangers.begin(GET).await;
    let refused = async {
        loop {
            time.advance(LONGEST_WAIT);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        answer = read_to_close(&mut fourth) => assert!(answer.starts_with(CROWDED), "{answer}"),
        () = refused => {}
    }
    assert_eq!(app.accepted.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn one_app_of_several_leaves_half_to_the_others() {
    let (mut hung, mut well) = (app().await, app().await);
    let seats = seats(4, 2);
    let of_hung = people(&hung, &seats).await;
    let of_well = people(&well, &seats).await;
    let mut kept = Vec::new();
    for _ in 0..2 {
        kept.push(under_way(&of_hung, &mut hung).await);
    }
    let _third = of_hung.begin(GET).await;
    waiting(&seats, &hung, 1).await;
    for _ in 0..2 {
        kept.push(under_way(&of_well, &mut well).await);
    }
    assert_eq!(hung.accepted.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_seat_that_another_app_leaves_idle_is_given_to_whoever_needs_it() {
    let mut apps = [app().await, app().await, app().await];
    let seats = seats(2, 3);
    let mut fronts = Vec::new();
    for app in &apps {
        fronts.push(people(app, &seats).await);
    }
    let (mut client, mut idle) = under_way(&fronts[0], &mut apps[0]).await;
    send(&mut idle, OK).await;
    is_answered(&mut client).await;
    let (mut client, mut busy) = under_way(&fronts[1], &mut apps[1]).await;
    let _third = under_way(&fronts[2], &mut apps[2]).await;
    assert_eq!(read_to_close(&mut idle).await, "", "closed for the third");
    // One that comes back while somebody waits is closed as well.
    let _waits = fronts[0].begin(GET).await;
    waiting(&seats, &apps[0], 1).await;
    send(&mut busy, OK).await;
    is_answered(&mut client).await;
    assert_eq!(read_to_close(&mut busy).await, "", "closed for the first");
    let mut again = apps[0].connection().await;
    read_until(&mut again, "\r\n\r\n").await;
}

#[tokio::test]
async fn an_app_gives_back_what_is_too_much_once_there_is_another() {
    let mut apps = [app().await, app().await];
    let seats = seats(4, 1);
    let first = people(&apps[0], &seats).await;
    let mut kept = Vec::new();
    for _ in 0..4 {
        kept.push(under_way(&first, &mut apps[0]).await);
    }
    seats.share_among(2);
    // Two of its four connections end, and are not made again.
    for _ in 0..2 {
        let (client, mut connection) = kept.pop().unwrap();
        drop(client);
        read_to_close(&mut connection).await;
    }
    let mut third = first.begin(GET).await;
    waiting(&seats, &apps[0], 1).await;
    let second = people(&apps[1], &seats).await;
    for _ in 0..2 {
        kept.push(under_way(&second, &mut apps[1]).await);
    }
    waiting(&seats, &apps[0], 1).await;
    // Alone again, it may have all there are.
    seats.share_among(1);
    kept.truncate(2);
    let mut connection = apps[0].connection().await;
    read_until(&mut connection, "\r\n\r\n").await;
    send(&mut connection, OK).await;
    is_answered(&mut third).await;
}

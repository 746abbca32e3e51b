//! Who takes too little, and who only takes their time, on a clock that jumps to the next timer.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    time::{sleep, timeout},
};

use super::*;
use crate::listener::{patience::time_of, stopwatch::now};

const LINE: usize = 1_024;

/// A line that holds a kibibyte, and something that has so many bytes written to it.
fn writing(
    length: usize,
) -> (
    DuplexStream,
    tokio::task::JoinHandle<io::Result<WriteStall<DuplexStream>>>,
) {
    let (ours, theirs) = duplex(LINE);
    let mut ours = WriteStall::new(ours, WRITE_STALL);
    let writing = tokio::spawn(async move {
        ours.write_all(&vec![7; length]).await?;
        ours.flush().await?;
        Ok(ours)
    });
    (theirs, writing)
}

fn timed_out<T>(written: io::Result<T>) -> bool {
    written.is_err_and(|error| error.kind() == io::ErrorKind::TimedOut)
}

// S-257
#[tokio::test(start_paused = true)]
async fn a_write_of_which_nothing_is_taken_ends_after_a_minute() {
    let (_theirs, writing) = writing(2 * LINE);
    let begun = now();
    assert!(timed_out(writing.await.unwrap()));
    let took = now() - begun;
    assert!(took >= WRITE_STALL && took < WRITE_STALL * 2, "{took:?}");
}

// S-257: progress, but next to none of it.
#[tokio::test(start_paused = true)]
async fn whoever_takes_a_drop_now_and_then_gains_no_time() {
    for (pause, drop) in [(1, 1), (10, 1), (50, 1), (10, 1_000), (59, 1_000)] {
        let (mut theirs, writing) = writing(1_000_000);
        let begun = now();
        let mut drops = 0;
        while !writing.is_finished() {
            sleep(Duration::from_secs(pause)).await;
            theirs.read_exact(&mut vec![0; drop]).await.unwrap();
            drops += 1;
            assert!(drops < 200, "{drop} bytes in {pause} s for ever");
        }
        assert!(timed_out(writing.await.unwrap()));
        let earned = time_of(drops * drop) + Duration::from_secs(pause);
        assert!(now() - begun <= WRITE_STALL + earned, "{drops} drops");
    }
}

// S-257
#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_left_alone() {
    for (pause, piece) in [(1, 500), (2, 1_000), (30, 15_000), (59, 29_500)] {
        let length = 300_000;
        let (mut theirs, writing) = writing(length);
        for _ in 0..length / piece {
            sleep(Duration::from_secs(pause)).await;
            theirs.read_exact(&mut vec![0; piece]).await.unwrap();
        }
        theirs
            .read_exact(&mut vec![0; length % piece])
            .await
            .unwrap();
        assert!(writing.await.unwrap().is_ok(), "{piece} bytes in {pause} s");
    }
}

// S-257: what was saved up is a minute at the most, however much was taken before.
#[tokio::test(start_paused = true)]
async fn patience_comes_back_and_does_not_pile_up() {
    let (mut theirs, writing) = writing(3_000_000);
    for _ in 0..10 {
        sleep(WRITE_STALL * 59 / 60).await;
        theirs.read_exact(&mut vec![0; 100_000]).await.unwrap();
    }
    assert!(!writing.is_finished());
    let begun = now();
    assert!(timed_out(writing.await.unwrap()));
    assert!(now() - begun <= WRITE_STALL);
}

#[tokio::test(start_paused = true)]
async fn a_client_for_whom_there_is_nothing_is_left_alone_and_has_no_timer() {
    let (ours, mut theirs) = duplex(LINE);
    let mut ours = WriteStall::new(ours, WRITE_STALL);
    for _ in 0..100 {
        ours.write_all(&[1; 100]).await.unwrap();
        ours.flush().await.unwrap();
        theirs.read_exact(&mut [0; 100]).await.unwrap();
        sleep(Duration::from_hours(1)).await;
    }
    assert!(ours.patience.is_untouched());
    // Nor is it blamed for having read all of it at some time.
    ours.write_all(&[1; LINE]).await.unwrap();
    assert!(timeout(WRITE_STALL / 2, ours.write_u8(1)).await.is_err());
    theirs.read_exact(&mut [0; LINE]).await.unwrap();
    ours.write_all(&[1; LINE]).await.unwrap();
    sleep(Duration::from_hours(1)).await;
    theirs.read_exact(&mut [0; LINE]).await.unwrap();
    ours.write_u8(1).await.unwrap();
}

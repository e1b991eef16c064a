//! Answers that take a while, and profiles, which are such.

use std::sync::Mutex;

use tokio::sync::oneshot;

use super::*;

/// Head and body, without what is of no interest.
async fn told(served: &Served, path: &str) -> String {
    let answer = served.ask("GET", path).await;
    answer.replace("content-type: text/plain; charset=utf-8\n", "")
}

#[tokio::test]
async fn profiles_are_taken_one_at_a_time_as_they_are_asked_for() {
    let (give, taken) = oneshot::channel();
    let taken = Mutex::new(Some(taken));
    let (tell, mut asked) = tokio::sync::mpsc::unbounded_channel();
    let site = profiles(move |sampling: Sampling| {
        tell.send((sampling.duration.as_secs(), sampling.frequency))
            .unwrap();
        let taken = taken.lock().unwrap().take();
        async move {
            match taken {
                Some(taken) => Ok(taken.await.unwrap()),
                None => Err("nothing to write to".to_owned()),
            }
        }
    });
    let served = served(site.with_index(), Limits::default()).await;
    let page = "/debug/pprof/profile";
    assert_eq!(
        told(&served, "/").await,
        "HTTP/1.1 200 OK\n\nGET /debug/pprof/profile"
    );
    // Whoever asks whether there is one takes none.
    assert_eq!(
        served.ask("HEAD", page).await,
        "HTTP/1.1 200 OK\ncontent-type: application/octet-stream\n"
    );
    let first = told(&served, page);
    let others = async {
        assert_eq!(asked.recv().await, Some((10, 100)));
        assert_eq!(
            told(&served, page).await,
            "HTTP/1.1 409 Conflict\n\na profile is being taken: ask again when that is over"
        );
        give.send(b"a profile".to_vec()).unwrap();
    };
    let (first, ()) = tokio::join!(first, others);
    assert_eq!(
        first,
        "HTTP/1.1 200 OK\ncontent-type: application/octet-stream\n\na profile"
    );
    // The next may be taken, whatever comes of it.
    for _ in 0..2 {
        assert_eq!(
            told(&served, &format!("{page}?seconds=60&frequency=1000")).await,
            "HTTP/1.1 500 Internal Server Error\n\nno profile: nothing to write to"
        );
        assert_eq!(asked.recv().await, Some((60, 1000)));
    }
    for wrong in [
        "seconds=0",
        "seconds=61",
        "seconds=",
        "seconds=-1",
        "seconds=1.5",
    ] {
        assert_eq!(
            told(&served, &format!("{page}?{wrong}")).await,
            format!(
                "HTTP/1.1 400 Bad Request\n\n`{wrong}`: take 1 to 60\n\
                 usage: GET /debug/pprof/profile[?seconds=NUMBER][&frequency=NUMBER]"
            )
        );
    }
    assert_eq!(
        told(&served, &format!("{page}?seconds=1&frequency=1001")).await,
        "HTTP/1.1 400 Bad Request\n\n`frequency=1001`: take 1 to 1000\n\
         usage: GET /debug/pprof/profile[?seconds=NUMBER][&frequency=NUMBER]"
    );
    assert!(asked.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_takes_a_while_leaves_its_reader_the_usual_time() {
    let site = Site::new("slow").page("/", &[Method::GET], |_| {
        Reply::Later(Box::pin(async {
            sleep(Duration::from_mins(1)).await;
            Answer::text(StatusCode::OK, "x".repeat(1 << 20))
        }))
    });
    assert_eq!(read_slowly(site).await, (71, 11));
}

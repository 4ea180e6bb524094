//! A slurmrestd that gives one answer to whatever it is asked.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::{
    config::{Engine, PoolMode},
    engine::batch::{
        request::tests::small,
        tools::tests::{before_others, pretend},
    },
};

/// One that answers with this status and these words, in place of JSON.
async fn slurmrestd(status: &'static str, words: &'static str) -> Rest {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut asked = [0; 1 << 14];
            assert!(stream.read(&mut asked).await.unwrap() > 0);
            let length = words.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{words}"
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let address = RestAddress { url, version: "v0.0.38".to_owned() };
    let engine = Engine::Slurm { rest: Some(address.clone()) };
    let mut pool = Pool::minimal("long", engine, PoolMode::PerJob);
    pool.engine_env.insert("SLURM_JWT".into(), Some("a token".into()));
    Rest::new(&pool, &address).unwrap()
}

#[tokio::test]
async fn what_stands_before_it_and_does_not_reach_it_is_an_outage() {
    let rest = slurmrestd("502 Bad Gateway", "<html>no upstream</html>").await;
    let refusal = rest.version().await.unwrap_err();
    assert!(
        matches!(&refusal, Refusal::Temporary(said) if said.contains("no upstream")),
        "{refusal}"
    );
    // It may have reached it.
    let refusal = rest.start(&small()).await.unwrap_err();
    assert!(matches!(&refusal, Refusal::Unsure(said) if said.contains("502")), "{refusal}");
}

#[tokio::test]
async fn an_interface_that_it_does_not_have_is_named() {
    let rest = slurmrestd("404 Not Found", "Unable to find requested URL").await;
    let refusal = rest.version().await.unwrap_err();
    let Refusal::Permanent(said) = refusal else { panic!("{refusal}") };
    assert!(said.contains("'v0.0.38'") && said.contains("'rest_version'"), "{said}");
    let rest = slurmrestd("200 OK", "{}").await;
    let refusal = rest.start(&small()).await.unwrap_err();
    assert!(
        matches!(&refusal, Refusal::Unsure(said) if said.contains("'rest_version'")),
        "{refusal}"
    );
}

#[tokio::test]
async fn a_token_that_cannot_be_made_says_whose_and_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    pretend(directory.path(), "scontrol", "echo 'scontrol: error: no jwt key' >&2; exit 1");
    let mut rest = slurmrestd("200 OK", "{}").await;
    rest.given_token = None;
    rest.tools = Tools::new(&before_others(directory.path()), ADVICE);
    let said = rest.version().await.unwrap_err().to_string();
    for part in ["scontrol token", "no jwt key", "SLURM_JWT", &rest.user] {
        assert!(said.contains(part), "{part} in {said}");
    }
}

//! What the async NATS client of Rust does with a broker, tried one after the other; then a
//! service with one model and a method, until the process is ended.
//!
//! `tidegate-async-nats <nats url>`

use async_nats::{Client, HeaderMap, PublishErrorKind, RequestErrorKind};
use futures::StreamExt;

/// Whatever goes wrong ends the program with its words.
type Outcome = Result<(), Box<dyn std::error::Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    let url = std::env::args().nth(1).ok_or("which broker?")?;
    let client = async_nats::connect(&url).await?;
    queue_group(&client).await?;
    no_responders(&client).await?;
    headers(&client).await?;
    order(&client, &async_nats::connect(&url).await?).await?;
    limited(&client).await?;
    too_large(&client).await?;
    serve(&client).await
}

/// The members of a group share the requests, and each request has one answer.
async fn queue_group(client: &Client) -> Outcome {
    const REQUESTS: usize = 1_000;
    for member in ["a", "b"] {
        let mut requests = client.queue_subscribe("tried.group", "q".into()).await?;
        let client = client.clone();
        tokio::spawn(async move {
            while let Some(request) = requests.next().await {
                let reply = request.reply.expect("it is a request");
                client.publish(reply, member.into()).await.expect("sent");
            }
        });
    }
    let mut own = client.subscribe("tried.answers").await?;
    client.flush().await?;
    let mut shares = [0, 0];
    for _ in 0..REQUESTS {
        let answer = client.request("tried.group", "".into()).await?;
        shares[usize::from(&answer.payload[..] == b"b")] += 1;
        client
            .publish_with_reply("tried.group", "tried.answers", "".into())
            .await?;
    }
    // As many answers as requests have come, and no more: the fence comes right behind them.
    for _ in 0..REQUESTS {
        own.next().await.ok_or("an answer is lost")?;
    }
    client.publish("tried.answers", "fence".into()).await?;
    let fence = own.next().await.ok_or("the fence is lost")?;
    assert_eq!(&fence.payload[..], b"fence", "a request has two answers");
    assert!(shares.iter().all(|share| *share > 0), "{shares:?}");
    Ok(())
}

async fn no_responders(client: &Client) -> Outcome {
    match client.request("tried.nobody", "".into()).await {
        Err(error) if error.kind() == RequestErrorKind::NoResponders => Ok(()),
        other => Err(format!("nobody answers, and yet: {other:?}").into()),
    }
}

async fn headers(client: &Client) -> Outcome {
    let mut messages = client.subscribe("tried.headers.>").await?;
    let mut sent = HeaderMap::new();
    sent.insert("traceparent", "00-abc");
    sent.append("several", "1");
    sent.append("several", "2");
    client
        .publish_with_headers("tried.headers.a.b", sent.clone(), "body".into())
        .await?;
    let message = messages.next().await.ok_or("the message is lost")?;
    assert_eq!(message.headers, Some(sent));
    assert_eq!(&message.payload[..], b"body");
    Ok(())
}

/// Many messages from one connection to another come all, and in order.
async fn order(client: &Client, other: &Client) -> Outcome {
    const MESSAGES: u32 = 50_000;
    let mut messages = other.subscribe("tried.order").await?;
    // What the broker has passed on to its sender shows that it knows of the subscription.
    other.publish("tried.order", "fence".into()).await?;
    messages.next().await.ok_or("the fence is lost")?;
    let sender = client.clone();
    let sending = tokio::spawn(async move {
        for number in 0..MESSAGES {
            let bytes = number.to_be_bytes().to_vec();
            sender
                .publish("tried.order", bytes.into())
                .await
                .expect("sent");
        }
        sender.flush().await.expect("the broker answers");
    });
    for number in 0..MESSAGES {
        let message = messages.next().await.ok_or("a message is lost")?;
        assert_eq!(&message.payload[..], number.to_be_bytes());
    }
    sending.await?;
    other.drain().await?;
    while messages.next().await.is_some() {}
    Ok(())
}

/// A subscription ends after so many messages.
async fn limited(client: &Client) -> Outcome {
    let mut messages = client.subscribe("tried.limited").await?;
    messages.unsubscribe_after(3).await?;
    for _ in 0..5 {
        client.publish("tried.limited", "".into()).await?;
    }
    let mut count = 0;
    while messages.next().await.is_some() {
        count += 1;
    }
    assert_eq!(count, 3);
    Ok(())
}

/// The client knows how long a message may be.
async fn too_large(client: &Client) -> Outcome {
    let large = vec![0; client.server_info().max_payload + 1];
    match client.publish("tried.large", large.into()).await {
        Err(error) if error.kind() == PublishErrorKind::MaxPayloadExceeded => Ok(()),
        other => Err(format!("too large, and yet: {other:?}").into()),
    }
}

/// `tried.counter`, which anybody may read and call.
async fn serve(client: &Client) -> Outcome {
    let mut requests = client.subscribe("*.tried.counter.>").await?;
    let mut others = client.subscribe("*.tried.counter").await?;
    client.flush().await?;
    println!("serving tried.counter");
    let mut count = 0;
    loop {
        let request = tokio::select! {
            request = requests.next() => request,
            request = others.next() => request,
        };
        let request = request.ok_or("the broker is gone")?;
        let answer = match &*request.subject {
            "access.tried.counter" => r#"{"get":true,"call":"*"}"#.to_owned(),
            "get.tried.counter" => format!(r#"{{"model":{{"count":{count}}}}}"#),
            "call.tried.counter.up" => {
                count += 1;
                let event = format!(r#"{{"values":{{"count":{count}}}}}"#);
                client
                    .publish("event.tried.counter.change", event.into())
                    .await?;
                count.to_string()
            }
            // Its own events come by the pattern, too.
            _ => continue,
        };
        if let Some(reply) = request.reply {
            let text = format!(r#"{{"result":{answer}}}"#);
            client.publish(reply, text.into()).await?;
        }
    }
}

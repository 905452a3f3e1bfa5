//! Headers, addresses and content types.

use super::*;

async fn taken<T: FromRequestParts<(), Rejection = Problem>>(
    headers: &[(&str, &str)],
) -> Result<T, String> {
    let mut request = Request::builder();
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let Ok(request) = request.body(()) else {
        panic!("not a request");
    };
    T::from_request_parts(&mut request.into_parts().0, &())
        .await
        .map_err(|problem| problem.code().to_owned())
}

fn seen(forwarded: &[&'static str], hops: u8) -> String {
    let mut headers = HeaderMap::new();
    for value in forwarded {
        headers.append("x-forwarded-for", HeaderValue::from_static(value));
    }
    client_ip(&headers, "192.0.2.1".parse().ok(), hops)
        .0
        .to_string()
}

#[test]
fn the_client_is_the_peer_when_no_proxy_is_ours() {
    assert_eq!(seen(&["203.0.113.9"], 0), "192.0.2.1");
}

#[test]
fn the_client_is_what_the_outermost_of_our_proxies_saw() {
    assert_eq!(seen(&["203.0.113.9"], 1), "203.0.113.9");
    assert_eq!(seen(&["6.6.6.6, 203.0.113.9"], 1), "203.0.113.9");
    assert_eq!(
        seen(&["6.6.6.6, 203.0.113.9", "198.51.100.7"], 2),
        "203.0.113.9"
    );
    assert_eq!(seen(&["203.0.113.9:4711"], 1), "203.0.113.9");
    assert_eq!(seen(&["[2001:db8::1]:4711"], 1), "2001:db8::1");
    assert_eq!(seen(&["::ffff:203.0.113.9"], 1), "203.0.113.9");
}

#[test]
fn a_request_that_went_round_our_proxies_is_taken_at_its_own_address() {
    assert_eq!(seen(&[], 1), "192.0.2.1");
    assert_eq!(seen(&["203.0.113.9"], 2), "192.0.2.1");
    assert_eq!(seen(&["unknown"], 1), "192.0.2.1");
}

#[tokio::test]
async fn if_match_is_read_strongly() {
    let tag = ETag::from(7);
    for (value, matches) in [
        ("\"7\"", true),
        ("\"6\", \"7\"", true),
        ("*", true),
        ("W/\"7\"", false),
        ("\"6\"", false),
    ] {
        let read = taken::<IfMatch>(&[("if-match", value)]).await;
        assert_eq!(
            read.map(|read| read.require(&tag).is_ok()),
            Ok(matches),
            "{value}"
        );
    }
    let absent = taken::<IfMatch>(&[]).await;
    assert!(matches!(&absent, Ok(read) if read.check(&tag).is_ok()));
    assert!(matches!(&absent, Ok(read) if read.require(&tag).is_err_and(|p| p.status() == 428)));
    for value in ["7", "\"7", "", "\"a\"b\""] {
        let read = taken::<IfMatch>(&[("if-match", value)]).await;
        assert_eq!(read, Err("request.invalid_header".to_owned()), "{value}");
    }
}

#[tokio::test]
async fn an_idempotency_key_is_visible_ascii_of_at_most_255() {
    let long = "k".repeat(255);
    assert_eq!(taken(&[]).await, Ok(IdempotencyKey(None)));
    assert_eq!(
        taken(&[("idempotency-key", &long)]).await,
        Ok(IdempotencyKey(Some(long.clone())))
    );
    for value in ["", "a b", "é", &format!("{long}k")] {
        let read = taken::<IdempotencyKey>(&[("idempotency-key", value)]).await;
        assert_eq!(read, Err("request.invalid_header".to_owned()), "{value}");
    }
    let twice = taken::<IdempotencyKey>(&[("idempotency-key", "a"), ("idempotency-key", "b")]);
    assert!(twice.await.is_err());
}

#[tokio::test]
async fn a_preference_is_found_among_others() {
    let prefer = taken(&[("prefer", "return=minimal, Respond-Async")]).await;
    assert_eq!(
        prefer,
        Ok(Prefer {
            respond_async: true
        })
    );
    assert_eq!(taken(&[("prefer", "wait=10")]).await, Ok(Prefer::default()));
}

#[tokio::test]
async fn a_position_is_a_whole_number() {
    assert_eq!(
        taken(&[("soulsense-min-position", "42")]).await,
        Ok(MinPosition(Some(42)))
    );
    for value in ["-1", "x", "1.5", ""] {
        assert!(
            taken::<MinPosition>(&[("soulsense-min-position", value)])
                .await
                .is_err()
        );
    }
}

#[test]
fn a_bearer_token_is_taken_and_nothing_else() {
    let read = |value: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static(value));
        bearer(&headers).map(str::to_owned).ok()
    };
    assert_eq!(read("Bearer abc"), Some("abc".to_owned()));
    assert_eq!(read("bearer abc"), Some("abc".to_owned()));
    assert_eq!(read("Basic abc"), None);
    assert_eq!(read("Bearer"), None);
    assert!(bearer(&HeaderMap::new()).is_err());
}

#[test]
fn json_is_what_calls_itself_json() {
    let says = |value: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(value));
        is_json(&headers)
    };
    assert!(says("application/json"));
    assert!(says("Application/JSON; charset=utf-8"));
    assert!(says("application/merge-patch+json"));
    assert!(!says("text/plain"));
    assert!(!says("text/json"));
    assert!(!says("application/x-www-form-urlencoded"));
    assert!(!is_json(&HeaderMap::new()));
}

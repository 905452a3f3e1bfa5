//! Every way a token can be wrong, and what refresh tokens become.

use super::*;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).unwrap_or_default()
}

fn ring(current: u8) -> KeyRing {
    KeyRing {
        previous: None,
        current: TokenKey::from_seed(&[current; 32]),
        next: None,
    }
}

fn issuer(ring: KeyRing) -> TokenIssuer {
    TokenIssuer::new(
        "https://soul.example",
        "soulsense",
        ring,
        TimeDelta::minutes(15),
    )
}

fn grant() -> AccessGrant {
    AccessGrant {
        account: AccountId(Uuid::from_u128(1)),
        session: SessionId(Uuid::from_u128(2)),
        token_id: Uuid::from_u128(3),
        epoch: 4,
        roles: vec![Role::Member],
    }
}

/// The token with its header replaced, the signature left as it was.
fn with_header(token: &str, header: &Value) -> String {
    let rest = token.split_once('.').map_or("", |(_, rest)| rest);
    format!(
        "{}.{rest}",
        BASE64_URL_SAFE_NO_PAD.encode(header.to_string())
    )
}

#[test]
fn a_token_says_what_was_granted() -> Outcome {
    let issuer = issuer(ring(1));
    let claims = issuer.verify(&issuer.issue(grant(), now())?, now())?;
    assert_eq!(claims.sub, grant().account);
    assert_eq!(claims.sid, grant().session);
    assert_eq!(claims.jti, grant().token_id);
    assert_eq!(claims.epoch, 4);
    assert_eq!(claims.roles, [Role::Member]);
    assert_eq!(claims.exp - claims.iat, 900);
    Ok(())
}

#[test]
fn a_token_is_good_from_its_issue_until_its_end() -> Outcome {
    let issuer = issuer(ring(1));
    let token = issuer.issue(grant(), now())?;
    let at = |seconds| {
        issuer
            .verify(&token, now() + TimeDelta::seconds(seconds))
            .err()
    };
    assert_eq!(at(-6), Some(TokenError::NotYetValid));
    assert_eq!(at(-5), None);
    assert_eq!(at(899), None);
    assert_eq!(at(900), Some(TokenError::Expired));
    Ok(())
}

#[test]
fn an_unsigned_token_is_refused() -> Outcome {
    let issuer = issuer(ring(1));
    let token = issuer.issue(grant(), now())?;
    let kid = issuer.ring.current.kid();
    let unsigned = with_header(&token, &json!({"alg": "none", "typ": "at+jwt", "kid": kid}));
    let bare = unsigned.rsplit_once('.').map_or("", |(message, _)| message);
    for token in [unsigned.clone(), format!("{bare}.")] {
        assert_eq!(
            issuer.verify(&token, now()),
            Err(TokenError::AlgorithmNotAllowed)
        );
    }
    let stripped = token.rsplit_once('.').map_or("", |(message, _)| message);
    for token in [stripped.to_owned(), format!("{stripped}.")] {
        assert!(issuer.verify(&token, now()).is_err());
    }
    Ok(())
}

#[test]
fn a_token_signed_with_our_public_key_as_a_shared_secret_is_refused() -> Outcome {
    let issuer = issuer(ring(1));
    let claims = issuer.verify(&issuer.issue(grant(), now())?, now())?;
    let header = Header {
        typ: Some(ACCESS_TOKEN_TYPE.to_owned()),
        kid: Some(issuer.ring.current.kid.clone()),
        ..Header::new(Algorithm::HS256)
    };
    let secret = EncodingKey::from_secret(&issuer.ring.current.public);
    let token = jsonwebtoken::encode(&header, &claims, &secret)?;
    assert_eq!(
        issuer.verify(&token, now()),
        Err(TokenError::AlgorithmNotAllowed)
    );
    let disguised = with_header(
        &token,
        &json!({"alg": "EdDSA", "typ": "at+jwt", "kid": issuer.ring.current.kid()}),
    );
    assert_eq!(
        issuer.verify(&disguised, now()),
        Err(TokenError::BadSignature)
    );
    Ok(())
}

#[test]
fn a_changed_claim_breaks_the_signature() -> Outcome {
    let issuer = issuer(ring(1));
    let token = issuer.issue(grant(), now())?;
    let mut claims = serde_json::to_value(issuer.verify(&token, now())?)?;
    claims["roles"] = json!(["admin"]);
    let parts: Vec<&str> = token.split('.').collect();
    let forged = format!(
        "{}.{}.{}",
        parts[0],
        BASE64_URL_SAFE_NO_PAD.encode(claims.to_string()),
        parts[2]
    );
    assert_eq!(issuer.verify(&forged, now()), Err(TokenError::BadSignature));
    Ok(())
}

#[test]
fn a_token_of_another_instance_is_refused() -> Outcome {
    let ours = issuer(ring(1));
    let stranger = issuer(ring(2)).issue(grant(), now())?;
    assert_eq!(ours.verify(&stranger, now()), Err(TokenError::UnknownKey));
    let other_issuer = TokenIssuer::new(
        "https://else.example",
        "soulsense",
        ring(1),
        TimeDelta::minutes(15),
    );
    let other_audience = TokenIssuer::new(
        "https://soul.example",
        "mail",
        ring(1),
        TimeDelta::minutes(15),
    );
    assert_eq!(
        ours.verify(&other_issuer.issue(grant(), now())?, now()),
        Err(TokenError::ForeignIssuer)
    );
    assert_eq!(
        ours.verify(&other_audience.issue(grant(), now())?, now()),
        Err(TokenError::ForeignAudience)
    );
    Ok(())
}

#[test]
fn something_else_that_we_signed_is_no_access_token() -> Outcome {
    let issuer = issuer(ring(1));
    let claims = issuer.verify(&issuer.issue(grant(), now())?, now())?;
    let header = Header {
        kid: Some(issuer.ring.current.kid.clone()),
        ..Header::new(Algorithm::EdDSA)
    };
    let token = jsonwebtoken::encode(&header, &claims, &issuer.ring.current.signs)?;
    assert_eq!(issuer.verify(&token, now()), Err(TokenError::ForeignType));
    let header = Header {
        typ: Some(ACCESS_TOKEN_TYPE.to_owned()),
        ..header
    };
    let token = jsonwebtoken::encode(&header, &json!({"iss": "x"}), &issuer.ring.current.signs)?;
    assert_eq!(issuer.verify(&token, now()), Err(TokenError::Malformed));
    Ok(())
}

#[test]
fn text_that_is_no_token_is_refused() {
    let issuer = issuer(ring(1));
    for text in ["", ".", "..", "a.b.c", "ey.ey.ey", "{}", "e30.e30.e30"] {
        assert_eq!(
            issuer.verify(text, now()),
            Err(TokenError::Malformed),
            "{text}"
        );
    }
}

#[test]
fn keys_change_without_a_gap() -> Outcome {
    let before = issuer(ring(1));
    let after = issuer(KeyRing {
        previous: Some(TokenKey::from_seed(&[1; 32])),
        current: TokenKey::from_seed(&[2; 32]),
        next: Some(TokenKey::from_seed(&[3; 32])),
    });
    assert!(after.verify(&before.issue(grant(), now())?, now()).is_ok());
    assert!(
        after
            .verify(&issuer(ring(3)).issue(grant(), now())?, now())
            .is_ok()
    );
    let keys = after.key_set();
    assert_eq!(keys["keys"].as_array().map(Vec::len), Some(3));
    assert_eq!(keys["keys"][0]["kid"], after.ring.current.kid());
    assert!(keys["keys"][0].get("d").is_none());
    Ok(())
}

#[test]
fn the_key_id_is_the_thumbprint_of_rfc_8037() {
    let seed = BASE64_URL_SAFE_NO_PAD
        .decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
        .ok()
        .and_then(|seed| <[u8; 32]>::try_from(seed).ok());
    let key = TokenKey::from_seed(&seed.unwrap_or_default());
    assert_eq!(key.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[test]
fn a_refresh_token_reads_back() -> Outcome {
    let token = RefreshToken::new(SessionId(Uuid::from_u128(7)), [9; 32]);
    let read = RefreshToken::parse(&token.expose()).ok_or("unreadable")?;
    assert_eq!(read.session(), token.session());
    assert_eq!(read.hash(), token.hash());
    assert_eq!(token.hash().len(), 64);
    for text in [
        "",
        ".",
        "x.y",
        "00000000-0000-0000-0000-000000000007",
        "00000000-0000-0000-0000-000000000007.c2hvcnQ",
    ] {
        assert!(RefreshToken::parse(text).is_none(), "{text}");
    }
    Ok(())
}

#[test]
fn a_successor_is_always_the_same_and_nobody_elses() {
    let token =
        |session, secret| RefreshToken::new(SessionId(Uuid::from_u128(session)), [secret; 32]);
    let next = token(7, 9).successor(&[1; 32]);
    assert_eq!(next.hash(), token(7, 9).successor(&[1; 32]).hash());
    assert_eq!(next.session(), token(7, 9).session());
    for other in [
        token(7, 9),
        token(7, 9).successor(&[2; 32]),
        token(8, 9).successor(&[1; 32]),
        token(7, 8).successor(&[1; 32]),
        next.successor(&[1; 32]),
    ] {
        assert_ne!(other.hash(), next.hash());
    }
}

#[test]
fn secrets_do_not_show_when_printed() {
    let token = RefreshToken::new(SessionId(Uuid::from_u128(7)), [9; 32]);
    assert!(!format!("{token:?}").contains("[9"));
    assert!(!format!("{:?}", issuer(ring(1))).contains("[1"));
}

#[test]
fn a_changed_token_does_not_pass_for_the_one_that_was_seen() -> Outcome {
    let issuer = issuer(ring(1));
    let token = issuer.issue(grant(), now())?;
    issuer.verify(&token, now())?;
    let (message, signature) = token.rsplit_once('.').ok_or("no signature")?;
    let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(signature)?;
    bytes[0] ^= 1;
    let changed = format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(bytes));
    assert_eq!(
        issuer.verify(&changed, now()),
        Err(TokenError::BadSignature)
    );
    assert!(issuer.verify(&token, now()).is_ok());
    Ok(())
}

//! The second factor: time-based codes (RFC 6238, SHA-1, 6 digits, 30 s, one step either side) and the
//! recovery codes for when the device is lost.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use totp_rs::{Builder, Totp};
use zeroize::Zeroizing;

/// The length of a fresh secret: 160 bits, as RFC 4226 recommends.
pub const SECRET_BYTES: usize = 20;
/// How many recovery codes an account gets.
pub const RECOVERY_CODES: usize = 10;
const RECOVERY_CODE_BYTES: usize = 10;

/// Why a second factor cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TotpError {
    /// The secret is shorter than 128 bits or the name cannot stand in an `otpauth` link.
    #[error("the second factor cannot be used: {0}")]
    Unusable(#[from] totp_rs::TotpError),
    /// A stored secret is not base32.
    #[error("the stored second factor is unreadable")]
    Unreadable,
}

/// A shared secret and the account it belongs to.
#[derive(Clone)]
pub struct SecondFactor(Totp);

impl std::fmt::Debug for SecondFactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecondFactor(…)")
    }
}

impl SecondFactor {
    /// The factor for `account`, as `issuer` names it; `secret` is [`SECRET_BYTES`] of randomness.
    pub fn try_new(secret: &[u8], issuer: &str, account: &str) -> Result<Self, TotpError> {
        let totp = Builder::new()
            .with_secret(secret.to_vec())
            .with_skew(1)
            .with_issuer(Some(issuer))
            .with_account_name(account)
            .build()?;
        Ok(Self(totp))
    }

    /// The factor with a secret as [`SecondFactor::secret`] writes it.
    pub fn from_base32(secret: &str, issuer: &str, account: &str) -> Result<Self, TotpError> {
        let secret = totp_rs::Secret::try_from_base32(secret).map_err(|_| TotpError::Unreadable)?;
        Self::try_new(secret.as_bytes(), issuer, account)
    }

    /// The secret in base32, to be stored sealed or typed into an authenticator by hand.
    #[must_use]
    pub fn secret(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.secret().to_base32())
    }

    /// The `otpauth://` link for a QR code.
    pub fn url(&self) -> Result<Zeroizing<String>, TotpError> {
        Ok(Zeroizing::new(self.0.to_url()?))
    }

    /// The step that `code` stands for at `now`, if it is right. A step counts once: whoever accepts it keeps
    /// it and refuses it and every earlier one from then on.
    #[must_use]
    pub fn matched_step(&self, code: &str, now: DateTime<Utc>) -> Option<u64> {
        self.0.check(code.trim(), seconds(now))
    }

    /// The code of the moment, as an authenticator would show it.
    #[must_use]
    pub fn code(&self, now: DateTime<Utc>) -> String {
        self.0.generate(seconds(now)).to_string()
    }
}

fn seconds(now: DateTime<Utc>) -> u64 {
    u64::try_from(now.timestamp()).unwrap_or_default()
}

/// Ten codes of 80 bits each, `xxxx-xxxx-xxxx-xxxx`, from given randomness. They are shown once; only
/// [`recovery_code_hash`] is kept.
#[must_use]
pub fn recovery_codes(
    randomness: &[u8; RECOVERY_CODES * RECOVERY_CODE_BYTES],
) -> Vec<Zeroizing<String>> {
    randomness
        .chunks_exact(RECOVERY_CODE_BYTES)
        .map(|bytes| {
            let letters = Zeroizing::new(
                totp_rs::Secret::from(bytes.to_vec())
                    .to_base32()
                    .to_lowercase(),
            );
            let mut code = Zeroizing::new(String::with_capacity(letters.len() + 3));
            for (place, letter) in letters.chars().enumerate() {
                if place > 0 && place % 4 == 0 {
                    code.push('-');
                }
                code.push(letter);
            }
            code
        })
        .collect()
}

/// SHA-256 in hex of a recovery code, however it was spaced or capitalised. The code has 80 random bits, so
/// the hash needs no salt.
#[must_use]
pub fn recovery_code_hash(code: &str) -> String {
    let letters: Zeroizing<String> = Zeroizing::new(
        code.chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|letter| letter.to_ascii_lowercase())
            .collect(),
    );
    crate::tokens::hex(&Sha256::digest(letters.as_bytes()))
}

/// The place of `code` among the stored `hashes`, looked for in a time that does not tell which it is.
#[must_use]
pub fn matched_recovery_code(code: &str, hashes: &[String]) -> Option<usize> {
    let wanted = recovery_code_hash(code);
    hashes
        .iter()
        .enumerate()
        .fold(None, |found, (place, hash)| {
            if bool::from(hash.as_bytes().ct_eq(wanted.as_bytes())) {
                Some(place)
            } else {
                found
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    /// The secret of RFC 6238, appendix B.
    const RFC_SECRET: &[u8] = b"12345678901234567890";

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap_or_default()
    }

    #[test]
    fn codes_are_those_of_the_rfc() -> Outcome {
        let factor = SecondFactor::try_new(RFC_SECRET, "SoulSense", "ada")?;
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_234_567_890, "005924"),
        ] {
            assert_eq!(factor.code(at(seconds)), code);
        }
        Ok(())
    }

    #[test]
    fn a_code_is_good_for_one_step_either_side() -> Outcome {
        let factor = SecondFactor::try_new(RFC_SECRET, "SoulSense", "ada")?;
        let code = factor.code(at(3_000));
        for (moment, step) in [(2_970, Some(100)), (3_029, Some(100)), (3_059, Some(100))] {
            assert_eq!(factor.matched_step(&code, at(moment)), step);
        }
        assert_eq!(factor.matched_step(&code, at(2_969)), None);
        assert_eq!(factor.matched_step(&code, at(3_060)), None);
        for wrong in ["", "28708", "2870822", "abcdef", "28 082"] {
            assert_eq!(factor.matched_step(wrong, at(59)), None, "{wrong}");
        }
        Ok(())
    }

    #[test]
    fn a_short_secret_is_refused() {
        assert!(SecondFactor::try_new(b"short", "SoulSense", "ada").is_err());
    }

    #[test]
    fn a_secret_reads_back() -> Outcome {
        let factor = SecondFactor::try_new(RFC_SECRET, "SoulSense", "ada")?;
        let read = SecondFactor::from_base32(&factor.secret(), "SoulSense", "ada")?;
        assert_eq!(read.code(at(59)), "287082");
        let unreadable = SecondFactor::from_base32("not base32!", "SoulSense", "ada");
        assert!(matches!(unreadable, Err(TotpError::Unreadable)));
        Ok(())
    }

    #[test]
    fn the_link_names_issuer_and_account() -> Outcome {
        let factor = SecondFactor::try_new(RFC_SECRET, "SoulSense", "ada")?;
        assert_eq!(
            factor.url()?.as_str(),
            "otpauth://totp/SoulSense:ada?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=SoulSense"
        );
        assert!(!format!("{factor:?}").contains("GEZD"));
        Ok(())
    }

    #[test]
    fn a_recovery_code_matches_however_it_is_typed() {
        let mut randomness = [0; 100];
        for (place, byte) in (0_u8..).zip(randomness.iter_mut()) {
            *byte = place;
        }
        let codes = recovery_codes(&randomness);
        let hashes: Vec<String> = codes.iter().map(|code| recovery_code_hash(code)).collect();
        assert_eq!(codes.len(), RECOVERY_CODES);
        assert_eq!(codes[0].len(), 19);
        assert_eq!(matched_recovery_code(&codes[7], &hashes), Some(7));
        let shouted = codes[3].to_uppercase().replace('-', " ");
        assert_eq!(matched_recovery_code(&shouted, &hashes), Some(3));
        assert_eq!(matched_recovery_code("aaaa-bbbb-cccc-dddd", &hashes), None);
    }
}

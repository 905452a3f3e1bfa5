//! Text that may be stored, sealed, but never printed.

/// Defines newtypes over `String` whose `Debug` shows no character, and which read back whatever was
/// stored, however strict the rules for new values have become.
macro_rules! private_text {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        $(
            $(#[$doc])*
            #[derive(
                Clone, PartialEq, Eq, PartialOrd, Ord, Hash, ::serde::Serialize, ::serde::Deserialize,
            )]
            #[serde(transparent)]
            pub struct $name(String);

            impl $name {
                /// The text itself.
                #[must_use]
                pub fn as_str(&self) -> &str {
                    &self.0
                }
            }

            impl ::std::fmt::Debug for $name {
                fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                    f.write_str(concat!(stringify!($name), "(…)"))
                }
            }
        )+
    };
}

/// The same for text that is made elsewhere and has no rules of its own: hashes and secrets.
macro_rules! credential {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        $crate::identity::private_text::private_text!($($(#[$doc])* $name),+);

        $(
            impl $name {
                /// Wraps a text that was computed elsewhere.
                pub fn new(text: impl Into<String>) -> Self {
                    Self(text.into())
                }
            }
        )+
    };
}

pub(crate) use {credential, private_text};

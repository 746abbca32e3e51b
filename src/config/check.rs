//! Cross-checks between routes and providers. (body follows)

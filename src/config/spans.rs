//! Where each key of a file stands. (body follows)

//! Tests of what crosses, rule by rule and byte by byte.

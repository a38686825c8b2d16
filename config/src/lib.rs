//! The configuration file: parsed, validated, compared.

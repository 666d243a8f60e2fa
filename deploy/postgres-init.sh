#!/bin/sh
# Run by the database's image when its volume is new: a login that owns one database and stands under
# row-level security, and the vector extension, which only a superuser may make everywhere.
set -eu
psql --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres \
  --set password="$MNEMON_DB_PASSWORD" <<'SQL'
CREATE ROLE mnemon LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS PASSWORD :'password';
CREATE DATABASE mnemon OWNER mnemon;
REVOKE CONNECT ON DATABASE mnemon FROM PUBLIC;
\connect mnemon
CREATE EXTENSION IF NOT EXISTS vector;
SQL

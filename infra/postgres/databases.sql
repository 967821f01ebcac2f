-- The databases of the stack's servers, and a role for each of them that reaches its own database alone. psql runs this when
-- the data folder is empty. It may run again, as the superuser: to bring databases of an earlier version to it, or after a
-- change of passwords. The superuser itself is used by no server.
\set ON_ERROR_STOP on
\set prefect `printenv POSTGRES_PREFECT_PASSWORD`
\set mlflow `printenv POSTGRES_MLFLOW_PASSWORD`
\set gateway `printenv POSTGRES_GATEWAY_PASSWORD`
\set runs `printenv POSTGRES_RUNS_PASSWORD`
\set operator `printenv POSTGRES_OPERATOR_PASSWORD`

SELECT format('CREATE ROLE %I', name)
FROM unnest(ARRAY['prefect', 'mlflow', 'registry', 'gateway', 'runs', 'operator']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
ALTER ROLE prefect LOGIN PASSWORD :'prefect';
ALTER ROLE mlflow LOGIN PASSWORD :'mlflow';
ALTER ROLE gateway LOGIN PASSWORD :'gateway';
ALTER ROLE runs LOGIN PASSWORD :'runs';
ALTER ROLE operator LOGIN PASSWORD :'operator';

SELECT format('CREATE DATABASE %I', name) FROM unnest(ARRAY['prefect', 'mlflow', 'mlflow_auth', 'gateway']) AS name
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = name) \gexec
ALTER DATABASE prefect OWNER TO prefect;
ALTER DATABASE mlflow OWNER TO registry;
ALTER DATABASE mlflow_auth OWNER TO mlflow;
ALTER DATABASE gateway OWNER TO gateway;
REVOKE ALL ON DATABASE prefect, mlflow, mlflow_auth, gateway, postgres, template1 FROM PUBLIC;

-- Flow runs register models straight in MLflow's database, but have no business with its accounts; people also manage keys in
-- the gateway's. Whoever makes something there, it belongs to all who work there.
GRANT registry TO mlflow, runs, operator;
GRANT gateway TO operator;
ALTER ROLE mlflow IN DATABASE mlflow SET role TO registry;
ALTER ROLE runs IN DATABASE mlflow SET role TO registry;
ALTER ROLE operator IN DATABASE mlflow SET role TO registry;
ALTER ROLE operator IN DATABASE gateway SET role TO gateway;

\set owner prefect
\connect prefect
\ir owner.psql
\set owner registry
\connect mlflow
\ir owner.psql
\set owner mlflow
\connect mlflow_auth
\ir owner.psql
\set owner gateway
\connect gateway
\ir owner.psql

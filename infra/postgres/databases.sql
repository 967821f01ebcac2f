-- The databases of the stack's servers, made when the data folder is empty.
CREATE DATABASE prefect;
CREATE DATABASE mlflow;
CREATE DATABASE mlflow_auth;
CREATE DATABASE gateway;

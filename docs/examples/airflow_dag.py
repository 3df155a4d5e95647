"""Airflow (3.0 and later): cluster every night, each run in a folder by its date, and keep the newest seven.

Copy it into the folder of DAGs, and set the four constants. Needs ``spark-submit`` where tasks run, and the provider
``apache-airflow-providers-standard``.
"""

import datetime

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

JOBS = "/opt/cdp-spark/jobs"
WHEEL = "/opt/cdp-spark/cdp_spark-0.1.0-py3-none-any.whl"
CONFIG = "s3a://lake/cdp/cdp.yaml"
RUNS = "s3a://lake/cdp/runs"

SUBMIT = f"spark-submit --master yarn --py-files {WHEEL}"
# A task that is tried again writes to the same folder: a finished run does nothing, a killed one continues.
OUTPUT = RUNS + "/run_date={{ data_interval_end | ds }}"

with DAG(
    dag_id="cdp_spark",
    schedule="15 3 * * *",
    start_date=datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": datetime.timedelta(minutes=10)},
):
    cluster = BashOperator(
        task_id="cluster",
        # --previous with the folder of all outputs: cluster ids come from the newest run beside this one.
        bash_command=f"{SUBMIT} {JOBS}/cluster.py --config {CONFIG} --output {OUTPUT} --previous {RUNS}",
        # Another run holds the output, or a giant component was refused: not for a retry to mend.
        skip_on_exit_code=[4],
    )
    clean = BashOperator(
        task_id="clean",
        # One at least stays for the next run's ids; of those that stay, `--output RUN --vectors` drops the embeddings.
        bash_command=f"{SUBMIT} {JOBS}/clean.py --runs {RUNS} --keep 7 --yes",
    )
    cluster >> clean

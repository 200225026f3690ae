# Two Spark applications in one job, one after the other, each with a prefix of its own.
set -eu
python3 "$1" s3a://labs s3a://out/first parquet
spark-submit --master 'local[2]' "$1" s3a://labs s3a://out/second formats

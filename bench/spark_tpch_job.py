"""The queries of TPC-H that read most, as a Spark job: from two places in turn, answers compared.

spark_tpch_job.py PLACES ROUNDS [QUERY…]     PLACES is a JSON object: name and URL
"""

import json
import math
import sys

from pyspark.sql import SparkSession

from spark_clock import Clock

TABLES = ("customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier")
REVENUE = "l_extendedprice * (1 - l_discount)"
QUERIES = {
    "Q1": f"""
        SELECT l_returnflag, l_linestatus, sum(l_quantity), sum(l_extendedprice), sum({REVENUE}),
               sum({REVENUE} * (1 + l_tax)), avg(l_quantity), avg(l_extendedprice), avg(l_discount), count(*)
        FROM lineitem WHERE l_shipdate <= DATE'1998-09-02'
        GROUP BY l_returnflag, l_linestatus ORDER BY l_returnflag, l_linestatus""",
    "Q3": f"""
        SELECT l_orderkey, sum({REVENUE}) AS revenue, o_orderdate, o_shippriority
        FROM customer, orders, lineitem
        WHERE c_mktsegment = 'BUILDING' AND c_custkey = o_custkey AND l_orderkey = o_orderkey
          AND o_orderdate < DATE'1995-03-15' AND l_shipdate > DATE'1995-03-15'
        GROUP BY l_orderkey, o_orderdate, o_shippriority
        ORDER BY revenue DESC, o_orderdate, l_orderkey LIMIT 10""",
    "Q5": f"""
        SELECT n_name, sum({REVENUE}) AS revenue
        FROM customer, orders, lineitem, supplier, nation, region
        WHERE c_custkey = o_custkey AND l_orderkey = o_orderkey AND l_suppkey = s_suppkey
          AND c_nationkey = s_nationkey AND s_nationkey = n_nationkey AND n_regionkey = r_regionkey
          AND r_name = 'ASIA' AND o_orderdate >= DATE'1994-01-01' AND o_orderdate < DATE'1995-01-01'
        GROUP BY n_name ORDER BY revenue DESC""",
    "Q6": """
        SELECT sum(l_extendedprice * l_discount) FROM lineitem
        WHERE l_shipdate >= DATE'1994-01-01' AND l_shipdate < DATE'1995-01-01'
          AND l_discount BETWEEN 0.05 AND 0.07 AND l_quantity < 24""",
    "Q9": f"""
        SELECT nation, o_year, sum(amount) AS profit FROM (
          SELECT n_name AS nation, year(o_orderdate) AS o_year,
                 {REVENUE} - ps_supplycost * l_quantity AS amount
          FROM part, supplier, lineitem, partsupp, orders, nation
          WHERE s_suppkey = l_suppkey AND ps_suppkey = l_suppkey AND ps_partkey = l_partkey
            AND p_partkey = l_partkey AND o_orderkey = l_orderkey AND s_nationkey = n_nationkey
            AND p_name LIKE '%green%')
        GROUP BY nation, o_year ORDER BY nation, o_year DESC""",
    "Q18": """
        SELECT c_name, c_custkey, o_orderkey, o_orderdate, o_totalprice, sum(l_quantity)
        FROM customer, orders, lineitem
        WHERE o_orderkey IN (
            SELECT l_orderkey FROM lineitem GROUP BY l_orderkey HAVING sum(l_quantity) > 300)
          AND c_custkey = o_custkey AND o_orderkey = l_orderkey
        GROUP BY c_name, c_custkey, o_orderkey, o_orderdate, o_totalprice
        ORDER BY o_totalprice DESC, o_orderdate, o_orderkey LIMIT 100""",
}


def as_text(row):
    """A row to compare; sums of doubles depend on their order in the last digits."""
    return [
        f"{value:.6g}" if isinstance(value, float) and math.isfinite(value) else str(value) for value in row
    ]


def ask(spark, place, query):
    """Read the tables of a place and answer a query, as a job does it: nothing is kept from before."""
    for table in TABLES:
        if table in query:
            spark.read.parquet(f"{place}/{table}.parquet").createOrReplaceTempView(table)
    return [as_text(row) for row in spark.sql(query).collect()]


def main():
    places = list(json.loads(sys.argv[1]).items())
    rounds, chosen = int(sys.argv[2]), sys.argv[3:] or list(QUERIES)
    spark = SparkSession.builder.appName("tpch").config("spark.sql.shuffle.partitions", "4").getOrCreate()
    clock = Clock(spark)
    times = {name: {query: [] for query in chosen} for name, _ in places}
    for number in range(rounds + 1):
        for query in chosen:
            answers = []
            # Whoever is later finds Java warmer: they take turns.
            for name, place in places if number % 2 else reversed(places):
                began = clock.read()
                answers.append(ask(spark, place, QUERIES[query]))
                if number:
                    took = [after - before for before, after in zip(began, clock.read(), strict=True)]
                    times[name][query].append(took)
            if any(rows != answers[0] for rows in answers) or not answers[0]:
                sys.exit(f"{query} is answered differently: {[rows[:3] for rows in answers]}")
    print("TIMES", json.dumps(times), flush=True)
    spark.stop()


if __name__ == "__main__":
    main()

# Laid out by Sidegate for one attempt of a job. Spark's bin/load-spark-env.sh reads it in bash, before it
# starts Java, and exports what is set here. The user's own configuration is kept and wins:
#   1. the user's spark-env.sh is read first;
#   2. configuration that only this Spark names ($SPARK_HOME/conf, or a HADOOP_CONF_DIR set in its
#      spark-env.sh) is laid over the gateway's in a new folder;
#   3. the S3A connector that matches this Spark's Hadoop is added when this Spark has none.
# __SIDEGATE_SETTINGS__

sidegate_say() { printf 'sidegate: %s\n' "$*" >&2; }

sidegate_quote() { printf '%s' "$1" | sed -e 's/&/\&amp;/g' -e 's/</\&lt;/g' -e "s/'/\&apos;/g"; }

sidegate_link() { # FOLDER TARGET SKIPPED…: links of FOLDER's files, where TARGET has none of that name
  local path name folder=$1 target=$2
  shift 2
  for path in "$folder"/*; do
    name=${path##*/}
    [[ -e $path && ! -e $target/$name && " $* " != *" $name "* ]] && ln -s "$path" "$target/$name"
  done
  return 0
}

sidegate_lay_over_gateway() { # SITE…: a Hadoop folder whose core-site.xml has the gateway's settings, then each SITE's
  local site made
  made=$(mktemp -d "$sidegate_folder/hadoop.XXXXXX") || return 1
  {
    printf "<configuration xmlns:xi='http://www.w3.org/2001/XInclude'>\n"
    for site in "$sidegate_hadoop/core-site.xml" "$@"; do
      [[ -f $site ]] && printf "  <xi:include href='%s'/>\n" "$(sidegate_quote "$site")"
    done
    printf '</configuration>\n'
  } > "$made/core-site.xml"
  printf '%s' "$made"
}

sidegate_keep_configuration() {
  local made conf=$SPARK_HOME/conf sites=()
  if [[ -z $sidegate_user_conf && -d $conf ]]; then # known only now
    made=$(mktemp -d "$sidegate_folder/spark.XXXXXX") || return 1
    sidegate_link "$conf" "$made" spark-env.sh core-site.xml
    [[ -f $conf/core-site.xml ]] && sites=("$conf/core-site.xml")
    SPARK_CONF_DIR=$made
    sidegate_say "Spark's own configuration in $conf is kept"
  fi
  if [[ ${HADOOP_CONF_DIR:-$sidegate_hadoop} != "$sidegate_hadoop" ]]; then # set by the user's spark-env.sh
    sites=("$HADOOP_CONF_DIR/core-site.xml" "${sites[@]}")
    sidegate_say "settings for the gateway are laid under those of HADOOP_CONF_DIR=$HADOOP_CONF_DIR"
  fi
  if [[ ${#sites[@]} -gt 0 ]]; then
    made=$(sidegate_lay_over_gateway "${sites[@]}") || return 1
    sidegate_link "${HADOOP_CONF_DIR:-$sidegate_hadoop}" "$made" core-site.xml
    HADOOP_CONF_DIR=$made
  fi
  [[ -n ${HADOOP_CONF_DIR:-} ]] || HADOOP_CONF_DIR=$sidegate_hadoop
}

sidegate_add_connector() {
  local core hadoop scala spark cache jar lacking added=()
  [[ -n $(compgen -G "$SPARK_HOME/jars/hadoop-aws-*.jar") || ${SPARK_DIST_CLASSPATH:-} == *hadoop-aws* ]] && return
  core=$(compgen -G "$SPARK_HOME/jars/spark-core_*.jar" | head -n 1)
  hadoop=$(compgen -G "$SPARK_HOME/jars/hadoop-client-api-*.jar" | head -n 1)
  [[ -n $hadoop ]] || hadoop=$(compgen -G "$SPARK_HOME/jars/hadoop-common-*.jar" | head -n 1)
  [[ -n $core && -n $hadoop ]] || return # not a Spark as it is distributed: its owner has seen to it
  core=${core##*/spark-core_} core=${core%.jar} scala=${core%%-*} spark=${core#*-}
  hadoop=${hadoop##*/} hadoop=${hadoop#hadoop-client-api-} hadoop=${hadoop#hadoop-common-} hadoop=${hadoop%.jar}
  cache=$sidegate_cache/$hadoop-$scala
  if [[ ! -f $cache/complete ]]; then
    lacking="Spark $spark (Hadoop $hadoop) has no S3A connector, so it cannot read or write s3a://;"
    lacking+=" get it with: sidegate spark fetch --spark-home '$SPARK_HOME'"
    sidegate_say "$lacking"
    printf '%s\n' "$lacking" >> "$sidegate_folder/complaints" # told again when the job fails
    return
  fi
  while IFS= read -r jar; do
    added+=("$cache/$jar")
  done < "$cache/complete"
  jar=$(compgen -G "$cache/spark-hadoop-cloud_$scala-${spark%"${spark#*.*.}"}*.jar" | sort -V | tail -n 1)
  [[ -n $jar ]] && added+=("$jar")
  SPARK_DIST_CLASSPATH=${SPARK_DIST_CLASSPATH:+$SPARK_DIST_CLASSPATH:}$(IFS=:; printf '%s' "${added[*]}")
  sidegate_say "Spark $spark (Hadoop $hadoop) in $SPARK_HOME is given ${added[*]##*/}"
}

if [[ -f ${sidegate_user_conf:-$SPARK_HOME/conf}/spark-env.sh ]]; then
  . "${sidegate_user_conf:-$SPARK_HOME/conf}/spark-env.sh"
fi
sidegate_keep_configuration
sidegate_add_connector
export SPARK_CONF_DIR HADOOP_CONF_DIR
unset sidegate_folder sidegate_hadoop sidegate_user_conf sidegate_cache
unset -f sidegate_say sidegate_quote sidegate_link sidegate_lay_over_gateway sidegate_keep_configuration \
  sidegate_add_connector

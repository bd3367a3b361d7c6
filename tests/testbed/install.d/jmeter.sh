# JMeter: what load tests are run with, and whose result files `plimsoll infer` reads. `jmeter` runs it without a window:
# `jmeter -n -t plan.jmx -l results.jtl`.
# The checksum of the list of its parts is in the version: another one is installed anew.
version="5.6.2 $(sha256sum <"$TESTBED_SRC/jmeter/pom.xml" | cut -c 1-12)"
home=$TESTBED_CACHE/jmeter

# A JVM takes a second to say so; its version is told by its own jar.
present() {
  local out
  out=$("$TESTBED_BIN/jmeter" --version 2>&1)
  grep -q '5\.6\.2' <<<"$out" || { echo "$out"; return 1; }
  echo "JMeter 5.6.2, $(java -version 2>&1 | head -n 1)"
}

install() {
  # A machine that has them already keeps what it has. `maven` of Debian brings a JRE of its own choice.
  { java -version && mvn --version; } || apt_install default-jre-headless maven
  local jars=$TESTBED_CACHE/build/jmeter
  rm -rf "$home" "$jars"
  mkdir -p "$home/lib/ext" "$home/bin" "$jars"
  cp "$TESTBED_SRC/jmeter/pom.xml" "$jars"
  (cd "$jars" && mvn --batch-mode --quiet \
    org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies -DoutputDirectory="$jars/all")
  # Where JMeter itself looks: its launcher in bin/, its components in lib/ext/, what they need in lib/.
  mv "$jars"/all/ApacheJMeter-5.6.2.jar "$home/bin/ApacheJMeter.jar"
  (cd "$home" && python3 -m zipfile -e "$jars"/all/ApacheJMeter_config-5.6.2.jar "$jars/config")
  cp -r "$jars/config/bin/." "$home/bin"
  rm "$jars"/all/ApacheJMeter_config-5.6.2.jar
  mv "$jars"/all/ApacheJMeter_*.jar "$home/lib/ext"
  mv "$jars"/all/*.jar "$home/lib"
  # `exec`: the process that was started is JMeter, and ends with it. The heap is small: tests share a machine.
  printf '#!/bin/sh\nexec java -Xmx512m -Djava.awt.headless=true -jar %q "$@"\n' "$home/bin/ApacheJMeter.jar" >"$TESTBED_BIN/jmeter"
  chmod 755 "$TESTBED_BIN/jmeter"
}

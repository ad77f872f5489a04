# Processor time over two seconds, in hundredths; a fifth of a core would be 40.
used() { kubectl exec capped -- cut -d ' ' -f 14 /proc/1/stat; }
start=$(date +%s%N) before=$(used)
sleep 2
got=$(($(used) - before)) took=$((($(date +%s%N) - start) / 10000000))
if [ $((got * 100)) -le $((took * 24)) ]
then echo "capped got not more than a fifth of a core"
else echo "capped got $got of $took hundredths of a second"
fi

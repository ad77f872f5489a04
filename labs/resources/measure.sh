# Processor time of both programs, in hundredths of a second, before and after two seconds.
used() { kubectl exec "$1" -- cut -d ' ' -f 14 /proc/1/stat; }
large=$(used large) small=$(used small)
sleep 2
large=$(($(used large) - large)) small=$(($(used small) - small))
if [ $((large * 10)) -gt $((small * 14)) ] && [ $((large * 10)) -lt $((small * 28)) ]
then echo "large got about twice as much as small"
else echo "large got $large, small $small hundredths of a second"
fi

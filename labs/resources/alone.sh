# It asked for a tenth of a core. How much does it get when nobody else wants that core?
used() { kubectl exec small -- cut -d ' ' -f 14 /proc/1/stat; }
before=$(used)
sleep 1
got=$(($(used) - before))
if [ "$got" -gt 15 ]
then echo "small gets more than it asked for"
else echo "small got $got hundredths of a second"
fi

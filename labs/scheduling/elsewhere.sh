#!/bin/sh
# How many Pods of the ReplicaSet run on other nodes than blue, as soon as it is both.
count() {
  kubectl get pods -l app=web --field-selector spec.nodeName!=blue -o custom-columns=PHASE:.status.phase --no-headers | sort | uniq -c | tr -s ' '
}
until count | grep -q '2 Running'; do sleep 1; done
count

#!/bin/bash
# Runs kubernetes.yaml as it stands on a cluster of one node that it starts and ends, then a longer
# search of which it has one pod killed and one deleted: kubernetes-check.sh DIR
# Needs root, for namespaces and containers. DIR must be new; it keeps the logs and the volume.
# KUBE_BIN is a directory with kube-apiserver, kube-controller-manager, kube-scheduler, kubelet,
# kubectl, etcd, containerd, containerd-shim-runc-v2, ctr, runc and a static busybox; CNI_BIN one
# with the plugins bridge, host-local and loopback; PINFOLD the command for the image. RUNS is the
# length of the longer search, PATIENCE how many seconds one step may take.
set -eu
die() { echo "kubernetes-check: $*" >&2; exit 2; }
PINFOLD=${PINFOLD:-$(command -v pinfold || true)} CNI_BIN=${CNI_BIN:-/usr/lib/cni}
RUNS=${RUNS:-3200000} PATIENCE=${PATIENCE:-900}
[ $# = 1 ] && [ -n "${KUBE_BIN:-}" ] ||
    die "usage: KUBE_BIN=BINARIES [CNI_BIN=PLUGINS] [PINFOLD=COMMAND] $0 DIR"
missing=
for b in kube-apiserver kube-controller-manager kube-scheduler kubelet kubectl etcd containerd \
    containerd-shim-runc-v2 ctr runc busybox; do
    [ -x "$KUBE_BIN/$b" ] || missing="$missing $KUBE_BIN/$b"
done
for b in bridge host-local loopback; do [ -x "$CNI_BIN/$b" ] || missing="$missing $CNI_BIN/$b"; done
for b in openssl ip unshare ldd; do command -v $b >/dev/null || missing="$missing $b"; done
[ -x "$PINFOLD" ] || missing="$missing pinfold"
[ -z "$missing" ] || die "not found:$missing"
[ "$(id -u)" = 0 ] || die "must be root"

# Everything runs in namespaces of its own: no port is seen outside, and all ends with this script.
if [ -z "${CHECK_INSIDE:-}" ]; then
    mkdir "$1" || die "$1 must be new"
    CNI_BIN=$(realpath "$CNI_BIN") KUBE_BIN=$(realpath "$KUBE_BIN") PINFOLD=$(realpath "$PINFOLD")
    export CHECK_INSIDE=1 PINFOLD CNI_BIN KUBE_BIN RUNS PATIENCE
    unshare --net --mount --pid --fork --kill-child --mount-proc "$0" "$1" &
    trap 'kill -KILL $!' INT TERM
    code=0
    wait $! || code=$?
    sleep 1
    # The kubelet's control groups stay behind, empty.
    find /sys/fs/cgroup -depth -type d -path '*/kubepods*' -exec rmdir {} + || true
    exit $code
fi
campaigns=$(cd "$(dirname "$0")" && pwd)
# What containerd and the kubelet leave in fixed places goes with this script, too.
for d in /run /var/lib /var/log; do mount -t tmpfs none $d; done
[ -x "$KUBE_BIN/kubelet" ] && [ -x "$CNI_BIN/bridge" ] && [ -x "$PINFOLD" ] && cd "$1" ||
    die "neither the binaries nor $1 may be below /run, /var/lib or /var/log"
dir=$PWD node=10.77.0.1 PATH=$KUBE_BIN:$PATH
export KUBECONFIG=$dir/kubeconfig
export CONTAINERD_ADDRESS=$dir/containerd.sock CONTAINERD_NAMESPACE=k8s.io
mkdir log volume sys image cni
ip link set lo up
ip link add pods0 type bridge
ip address add $node/24 dev pods0
ip link set pods0 up
ip route add default dev pods0
# The kubelet sets these for the whole machine; here it sets copies.
for s in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops \
    kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
    cat /proc/sys/$s >"sys/${s##*/}"
    mount --bind "sys/${s##*/}" /proc/sys/$s
done
# One certificate for all: who has it is an administrator.
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /O=system:masters/CN=check \
    -addext "subjectAltName=IP:127.0.0.1,IP:$node,IP:10.79.0.1" \
    -keyout key.pem -out cert.pem 2>/dev/null
cat >kubeconfig <<EOF
{apiVersion: v1, kind: Config, current-context: c,
 contexts: [{name: c, context: {cluster: c, user: c}}],
 clusters: [{name: c, cluster: {server: "https://$node:6443",
   certificate-authority: $dir/cert.pem}}],
 users: [{name: c, user: {client-certificate: $dir/cert.pem, client-key: $dir/key.pem}}]}
EOF

start() { "$@" >"log/$1" 2>&1 & }
# Waits until a command succeeds.
until_done() { # WHAT COMMAND...
    local what=$1 i
    shift
    for ((i = 0; i < PATIENCE; i++)); do "$@" >/dev/null 2>&1 && return; sleep 1; done
    kubectl get pods -o wide || true
    die "not within $PATIENCE tries: $what; see $dir/log"
}
start etcd --data-dir "$dir/etcd" --listen-peer-urls http://127.0.0.1:2380
start kube-apiserver --etcd-servers=http://127.0.0.1:2379 --advertise-address=$node \
    --client-ca-file=cert.pem --tls-cert-file=cert.pem --tls-private-key-file=key.pem \
    --kubelet-client-certificate=cert.pem --kubelet-client-key=key.pem \
    --kubelet-preferred-address-types=InternalIP --service-cluster-ip-range=10.79.0.0/24 \
    --service-account-key-file=cert.pem --service-account-signing-key-file=key.pem \
    --service-account-issuer=https://check
until_done "the API server is ready" kubectl get --raw /readyz
start kube-controller-manager --kubeconfig=kubeconfig --leader-elect=false \
    --root-ca-file=cert.pem --service-account-private-key-file=key.pem
start kube-scheduler --kubeconfig=kubeconfig --leader-elect=false

# The image: the command with its libraries, a shell, and this directory in /campaigns. The
# container that only holds a pod's namespaces sleeps in it, too.
root=image/root
mkdir -p $root/bin $root/campaigns
cp "$KUBE_BIN/busybox" "$PINFOLD" $root/bin
for b in sh mkdir cat grep sleep; do ln -s busybox $root/bin/$b; done
cp "$campaigns"/*.sh $root/campaigns
ldd "$PINFOLD" | grep -o '/[^ ]*' | xargs -I{} cp -L --parents {} $root
tar -C $root -cf image/layer.tar .
cat >image/config.json <<EOF
{"architecture": "amd64", "os": "linux",
 "config": {"Env": ["PATH=/bin"], "Cmd": ["sleep", "infinity"]},
 "rootfs": {"type": "layers", "diff_ids": ["sha256:$(sha256sum image/layer.tar | cut -c1-64)"]}}
EOF
echo '[{"Config": "config.json", "RepoTags": ["pinfold:latest"], "Layers": ["layer.tar"]}]' \
    >image/manifest.json
tar -C image -cf image.tar manifest.json config.json layer.tar
# restrict_oom_score_adj: so that it also runs where root may not lower that.
cat >containerd.toml <<EOF
version = 2
root = "$dir/containerd"
state = "$dir/containerd.state"
[grpc]
  address = "$CONTAINERD_ADDRESS"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/library/pinfold:latest"
  restrict_oom_score_adj = true
  cni = {bin_dir = "$CNI_BIN", conf_dir = "$dir/cni"}
[plugins."io.containerd.internal.v1.opt"]
  path = "$dir/opt"
EOF
cat >cni/pods.conflist <<EOF
{"cniVersion": "0.4.0", "name": "pods", "plugins": [{"type": "bridge", "bridge": "pods0",
 "ipam": {"type": "host-local", "subnet": "10.77.0.0/24", "rangeStart": "10.77.0.10",
   "dataDir": "$dir/ips"}}]}
EOF
start containerd -c containerd.toml
until_done "containerd answers" ctr version
ctr images import image.tar
cat >kubelet.yaml <<EOF
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {webhook: {enabled: false}, x509: {clientCAFile: $dir/cert.pem}}
authorization: {mode: AlwaysAllow}
cgroupDriver: cgroupfs
failSwapOn: false
makeIPTablesUtilChains: false
resolvConf: ""
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
EOF
# Up to 1.26 it must be told that the runtime is not within it.
remote=$(kubelet --help | grep -o -- '--container-runtime ' || true)
start kubelet --kubeconfig=kubeconfig --config=kubelet.yaml --root-dir="$dir/kubelet" \
    ${remote:+--container-runtime=remote} --hostname-override=node --node-ip=$node \
    --container-runtime-endpoint="unix://$CONTAINERD_ADDRESS"
until_done "the node is ready" kubectl wait --for=condition=Ready node/node --timeout=1s
until_done "the default account exists" kubectl get serviceaccount default

# The claim that the head of kubernetes.yaml asks for: here a directory of the one node.
kubectl apply -f - <<EOF
apiVersion: v1
kind: PersistentVolume
metadata: {name: results}
spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteMany], storageClassName: "",
  hostPath: {path: $dir/volume}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: pinfold-results}
spec: {accessModes: [ReadWriteMany], storageClassName: "", resources: {requests: {storage: 1Gi}}}
EOF
get() { kubectl get "$1" -o "jsonpath=$2"; }
is() { [ "$(get "$1" "$2")" = "$3" ]; }
ended() { # JOB
    local complete='{.status.conditions[?(@.type=="Complete")].status}'
    until_done "$1 is complete" is "job/$1" "$complete" True
    echo "$1: $(get "job/$1" '{.status}')"
}
# What a pod with the claim merges, and what the search in one piece says.
compare() { # JOB DIRECTORY WORDS OF pinfold check...
    local job=$1 files=$2 code=0 exit='{.status.containerStatuses[0].state.terminated.exitCode}'
    shift 2
    kubectl apply -f - <<EOF
apiVersion: v1
kind: Pod
metadata: {name: merge-$job}
spec:
  restartPolicy: Never
  containers:
    - {name: merge, image: pinfold, imagePullPolicy: IfNotPresent, command: [sh, -c],
       args: ["pinfold merge $files/*.json --format json"],
       volumeMounts: [{name: results, mountPath: /results}]}
  volumes: [{name: results, persistentVolumeClaim: {claimName: pinfold-results}}]
EOF
    "$PINFOLD" check "$@" --no-save --format json >"$job-whole.json" 2>"log/$job" || code=$?
    until_done "merge-$job ends with $code" is "pod/merge-$job" "$exit" $code
    kubectl logs "merge-$job" >"$job-merged.json"
    local verdict
    verdict=$(grep -o '"verdict": "[a-z]*"' "$job-whole.json")
    grep -q "$verdict" "$job-merged.json" || die "$job: merge does not say $verdict"
    echo "$job: merge ends with $code and $verdict, as the search in one piece"
}
kubectl apply -f "$campaigns/kubernetes.yaml"
ended pinfold
compare pinfold /results fork-races-fast-pin --rules latest

# A longer search, of which one pod is killed and one deleted.
sed -e 's/^  name: pinfold$/  name: longer/' -e 's/fork-races-fast-pin/exit-races-pin/' \
    -e "s/--rules latest/& --random $RUNS/" -e 's# /results$# /results/longer#' \
    "$campaigns/kubernetes.yaml" | kubectl apply -f -
running() {
    local only=--field-selector=status.phase=Running
    pod=$(kubectl get pods -l job-name=longer $only -o name | head -1)
    [ -n "$pod" ]
}
index='{.metadata.annotations.batch\.kubernetes\.io/job-completion-index}'
until_done "a pod runs" running
id=$(get "$pod" '{.status.containerStatuses[0].containerID}') killed=$(get "$pod" "$index")
ctr tasks kill -s SIGKILL "${id#containerd://}"
until_done "the killed pod has failed" is "$pod" '{.status.phase}' Failed
until_done "another pod runs" running
deleted=$(get "$pod" "$index")
kubectl delete "$pod"
[ ! -e volume/longer/$((deleted + 1)).json ] || die "RUNS=$RUNS is too short"
echo "lost in the middle: a pod of index $killed by SIGKILL, one of index $deleted by delete"
ended longer
echo "index, pod, how it ended, since when:"
kubectl get pods -l job-name=longer --sort-by=.metadata.creationTimestamp -o "jsonpath={range \
.items[*]}$index {.metadata.name} {.status.phase} {.metadata.creationTimestamp}{\"\\n\"}{end}"
compare longer /results/longer exit-races-pin --rules latest --random "$RUNS"
diff <(grep -v '"seconds"' longer-merged.json) <(grep -v '"seconds"' longer-whole.json) ||
    die "longer: the two reports differ"
echo "longer: merge's report is that of the search in one piece, but for its seconds"

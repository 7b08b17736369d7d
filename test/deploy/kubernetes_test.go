package deploy

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// objects are the manifests of a shape as kustomize makes them, each read strictly into the real type.
type objects struct {
	configMaps  map[string]*corev1.ConfigMap
	services    map[string]*corev1.Service
	deployments map[string]*appsv1.Deployment
	budgets     map[string]*policyv1.PodDisruptionBudget
	scalers     map[string]*autoscalingv2.HorizontalPodAutoscaler
	policies    map[string]*networkingv1.NetworkPolicy
	accounts    map[string]*corev1.ServiceAccount
	monitors    map[string]*podMonitor
}

// podMonitor is as much of the Prometheus Operator's type as the manifests use.
type podMonitor struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Selector            metav1.LabelSelector `json:"selector"`
		PodMetricsEndpoints []struct {
			Port          string `json:"port"`
			Path          string `json:"path"`
			Interval      string `json:"interval"`
			Authorization struct {
				Credentials corev1.SecretKeySelector `json:"credentials"`
			} `json:"authorization"`
			Relabelings []struct {
				TargetLabel string `json:"targetLabel"`
				Replacement string `json:"replacement"`
			} `json:"relabelings"`
		} `json:"podMetricsEndpoints"`
	} `json:"spec"`
}

func build(t *testing.T, shape string) *objects {
	t.Helper()
	made, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(root, "deploy", "kubernetes", shape))
	if err != nil {
		t.Fatal(err)
	}
	o := &objects{
		map[string]*corev1.ConfigMap{}, map[string]*corev1.Service{}, map[string]*appsv1.Deployment{}, map[string]*policyv1.PodDisruptionBudget{},
		map[string]*autoscalingv2.HorizontalPodAutoscaler{}, map[string]*networkingv1.NetworkPolicy{}, map[string]*corev1.ServiceAccount{},
		map[string]*podMonitor{},
	}
	for _, r := range made.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		switch kind, name := r.GetApiVersion()+" "+r.GetKind(), r.GetName(); r.GetApiVersion() + " " + r.GetKind() {
		case "v1 ConfigMap":
			o.configMaps[name] = strict[corev1.ConfigMap](t, text)
		case "v1 Service":
			o.services[name] = strict[corev1.Service](t, text)
		case "v1 ServiceAccount":
			o.accounts[name] = strict[corev1.ServiceAccount](t, text)
		case "apps/v1 Deployment":
			o.deployments[name] = strict[appsv1.Deployment](t, text)
		case "policy/v1 PodDisruptionBudget":
			o.budgets[name] = strict[policyv1.PodDisruptionBudget](t, text)
		case "autoscaling/v2 HorizontalPodAutoscaler":
			o.scalers[name] = strict[autoscalingv2.HorizontalPodAutoscaler](t, text)
		case "monitoring.coreos.com/v1 PodMonitor":
			o.monitors[name] = strict[podMonitor](t, text)
		case "networking.k8s.io/v1 NetworkPolicy":
			o.policies[name] = strict[networkingv1.NetworkPolicy](t, text)
		default:
			t.Errorf("%s %s is of a kind that is not looked at", kind, name)
		}
	}
	return o
}

// strict reads a manifest: what the type does not have is an error.
func strict[T any](t *testing.T, text []byte) *T {
	t.Helper()
	v := new(T)
	if err := yaml.UnmarshalStrict(text, v); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return v
}

func TestKubernetes(t *testing.T) {
	for shape, deployments := range map[string][]string{"edge": {"penstock", "redis"}, "sidecar": {"app"}} {
		t.Run(shape, func(t *testing.T) {
			o := build(t, shape)
			if len(o.deployments) != len(deployments) {
				t.Errorf("deployments: %v, want %v", maps.Keys(o.deployments), deployments)
			}
			for _, name := range deployments {
				o.checkPod(t, o.deployments[name])
			}
			o.checkSelectors(t)
			o.checkGateway(t)
			o.checkScrapes(t)
			o.checkTrust(t)
		})
	}
}

// containers are all of a pod.
func containers(p *corev1.PodSpec) []*corev1.Container {
	var all []*corev1.Container
	for i := range p.InitContainers {
		all = append(all, &p.InitContainers[i])
	}
	for i := range p.Containers {
		all = append(all, &p.Containers[i])
	}
	return all
}

// checkPod holds a pod to the restricted security standard, and its volumes to what there is.
func (o *objects) checkPod(t *testing.T, d *appsv1.Deployment) {
	t.Helper()
	p := &d.Spec.Template.Spec
	if !matches(d.Spec.Selector, d.Spec.Template.Labels) {
		t.Errorf("%s does not select its own pods", d.Name)
	}
	s := p.SecurityContext
	if s == nil || s.RunAsNonRoot == nil || !*s.RunAsNonRoot || s.RunAsUser == nil || *s.RunAsUser == 0 || s.SeccompProfile == nil || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.Errorf("%s: its pods may run as root, or without seccomp", d.Name)
	}
	if p.AutomountServiceAccountToken == nil || *p.AutomountServiceAccountToken {
		t.Errorf("%s: its pods get a token of the cluster's API that they do not need", d.Name)
	}
	if account := p.ServiceAccountName; account != "" && o.accounts[account] == nil {
		t.Errorf("%s: there is no service account %s", d.Name, account)
	}
	volumes := map[string]bool{}
	for _, v := range p.Volumes {
		volumes[v.Name] = true
		if v.ConfigMap != nil && o.configMaps[v.ConfigMap.Name] == nil {
			t.Errorf("%s: there is no ConfigMap %s", d.Name, v.ConfigMap.Name)
		}
	}
	for _, c := range containers(p) {
		s := c.SecurityContext
		if s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || s.Capabilities == nil || len(s.Capabilities.Drop) != 1 || s.Capabilities.Drop[0] != "ALL" {
			t.Errorf("%s, %s: it may write to its image, or become more than it is", d.Name, c.Name)
		}
		if c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() {
			t.Errorf("%s, %s: its resources are not bounded", d.Name, c.Name)
		}
		for _, m := range c.VolumeMounts {
			if !volumes[m.Name] || m.SubPath != "" {
				t.Errorf("%s, %s: it mounts %s, which is not there, or a single file that is never updated", d.Name, c.Name, m.Name)
			}
		}
	}
}

func matches(s *metav1.LabelSelector, labels map[string]string) bool {
	sel, err := metav1.LabelSelectorAsSelector(s)
	return err == nil && !sel.Empty() && sel.Matches(labelSet(labels))
}

// labelSet is a set of labels as selectors look at it.
type labelSet map[string]string

// Has reports whether a label is there.
func (l labelSet) Has(name string) bool { _, ok := l[name]; return ok }

// Get is the value of a label.
func (l labelSet) Get(name string) string { return l[name] }

// Lookup is the value of a label, and whether it is there.
func (l labelSet) Lookup(name string) (string, bool) { v, ok := l[name]; return v, ok }

// checkSelectors: services, budgets, policies and scalers are for deployments that there are, and name ports that these have.
func (o *objects) checkSelectors(t *testing.T) {
	t.Helper()
	find := func(s *metav1.LabelSelector) *appsv1.Deployment {
		for _, d := range o.deployments {
			if matches(s, d.Spec.Template.Labels) {
				return d
			}
		}
		return nil
	}
	ports := func(d *appsv1.Deployment) map[string]bool {
		names := map[string]bool{}
		for _, c := range containers(&d.Spec.Template.Spec) {
			for _, p := range c.Ports {
				names[p.Name] = true
			}
		}
		return names
	}
	for name, s := range o.services {
		d := find(&metav1.LabelSelector{MatchLabels: s.Spec.Selector})
		if d == nil {
			t.Errorf("service %s is for no pods", name)
			continue
		}
		for _, p := range s.Spec.Ports {
			if !ports(d)[p.TargetPort.StrVal] {
				t.Errorf("service %s leads to port %s, which %s has not", name, p.TargetPort.String(), d.Name)
			}
		}
	}
	for name, p := range o.policies {
		d := find(&p.Spec.PodSelector)
		if d == nil {
			t.Errorf("policy %s is for no pods", name)
			continue
		}
		for _, rule := range p.Spec.Ingress {
			for _, port := range rule.Ports {
				if !ports(d)[port.Port.StrVal] {
					t.Errorf("policy %s is about port %s, which %s has not", name, port.Port.String(), d.Name)
				}
			}
		}
	}
	for name, b := range o.budgets {
		if find(b.Spec.Selector) == nil {
			t.Errorf("budget %s is for no pods", name)
		}
	}
	for name, s := range o.scalers {
		if d := o.deployments[s.Spec.ScaleTargetRef.Name]; d == nil || d.Spec.Replicas != nil {
			t.Errorf("scaler %s is for no deployment, or for one that says its replicas itself", name)
		}
	}
}

var (
	drainOf  = regexp.MustCompile(`drain: (\w+)`)
	memoryOf = regexp.MustCompile(`memory: \{size: (\d+)MiB`)
)

// checkGateway: the gateway is probed, is drained before it ends, sees its configuration change, and has room for its cache.
func (o *objects) checkGateway(t *testing.T) {
	t.Helper()
	config := o.configMaps["penstock"].Data["gateway.yaml"]
	for _, d := range o.deployments {
		p := &d.Spec.Template.Spec
		for _, c := range containers(p) {
			if c.Name != "penstock" {
				continue
			}
			for name, probe := range map[string]*corev1.Probe{"startup": c.StartupProbe, "readiness": c.ReadinessProbe, "liveness": c.LivenessProbe} {
				if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Port.StrVal != "admin" {
					t.Errorf("%s has no %s probe of the admin port", d.Name, name)
				}
			}
			ready := map[string]string{"penstock": "/readyz", "app": "/readyz?upstream=app"}[d.Name] // a sidecar is of no use without its application
			if c.LivenessProbe.HTTPGet.Path != "/healthz" || c.StartupProbe.HTTPGet.Path != "/readyz" || c.ReadinessProbe.HTTPGet.Path != ready {
				t.Errorf("%s: the probes ask for something else", d.Name)
			}
			if _, upstream, asked := strings.Cut(ready, "upstream="); asked && !strings.Contains(config, "\n  "+upstream+":") {
				t.Errorf("%s: the readiness probe asks for upstream %s, which the configuration does not have", d.Name, upstream)
			}
			mounted := map[string]bool{}
			for _, m := range c.VolumeMounts {
				mounted[m.MountPath] = !m.ReadOnly
			}
			for _, folder := range writable {
				if folder != logFolder && !mounted[folder] { // an orchestrator reads the log from stdout
					t.Errorf("%s: the gateway can't write to %s", d.Name, folder)
				}
			}
			drain, err := time.ParseDuration(drainOf.FindStringSubmatch(config)[1])
			if err != nil {
				t.Fatal(err)
			}
			if wait := c.Lifecycle.PreStop.Sleep.Seconds + int64(drain.Seconds()); *p.TerminationGracePeriodSeconds <= wait {
				t.Errorf("%s is killed after %d s, and takes up to %d", d.Name, *p.TerminationGracePeriodSeconds, wait)
			}
			size := resource.MustParse(memoryOf.FindStringSubmatch(config)[1] + "Mi")
			limit := c.Resources.Limits.Memory()
			if size.Value()*10 > limit.Value()*4 {
				t.Errorf("%s: a cache of %s is more than 40 %% of %s", d.Name, size.String(), limit.String())
			}
			if seen := peak[d.Name]; limit.Value()*10 < seen*15 {
				t.Errorf("%s: it was seen to take %d MiB, and %s is less than half above that", d.Name, seen>>20, limit.String())
			}
			if arg := fmt.Sprint(c.Args); !strings.Contains(arg, c.VolumeMounts[0].MountPath+"/gateway.yaml") {
				t.Errorf("%s reads another configuration than the one that is mounted: %s", d.Name, arg)
			}
			return
		}
	}
	t.Error("there is no gateway")
}

// peak is the memory that the gateway was seen to take at its peak under the shape's configuration.
var peak = map[string]int64{"app": 130 << 20}

// checkScrapes: Prometheus gets past the token, finds the port, and calls the job what the alert rules call it. Annotations carry no token.
func (o *objects) checkScrapes(t *testing.T) {
	t.Helper()
	for _, d := range o.deployments {
		for name := range d.Spec.Template.Annotations {
			if strings.HasPrefix(name, "prometheus.io/") {
				t.Errorf("%s: the annotation %s promises a scrape that is answered 401", d.Name, name)
			}
		}
	}
	m := o.monitors["penstock"]
	if m == nil || len(m.Spec.PodMetricsEndpoints) != 1 {
		t.Fatal("nothing scrapes the gateway")
	}
	e := m.Spec.PodMetricsEndpoints[0]
	if e.Path != "/metrics" || e.Port != "admin" || len(e.Relabelings) != 1 || e.Relabelings[0].TargetLabel != "job" || e.Relabelings[0].Replacement != "penstock" {
		t.Errorf("the scrape is %+v", e)
	}
	found := false
	for _, d := range o.deployments {
		if !matches(&m.Spec.Selector, d.Spec.Template.Labels) {
			continue
		}
		for _, c := range containers(&d.Spec.Template.Spec) {
			for _, env := range c.Env {
				if env.Name == "PENSTOCK_ADMIN_TOKEN" {
					ref := env.ValueFrom.SecretKeyRef
					found = ref.Name == e.Authorization.Credentials.Name && ref.Key == e.Authorization.Credentials.Key
				}
			}
		}
	}
	if !found {
		t.Error("the scrape's token is not the gateway's")
	}
}

// checkTrust: no address is believed until an operator names it.
func (o *objects) checkTrust(t *testing.T) {
	t.Helper()
	if config := o.configMaps["penstock"].Data["gateway.yaml"]; !strings.Contains(config, "trusted_proxies: []") {
		t.Error("addresses are trusted that no operator has named: every pod behind one can pass for any client")
	}
}

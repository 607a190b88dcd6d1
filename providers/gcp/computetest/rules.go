package computetest

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

var (
	instanceName = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$`)
	labelKey     = regexp.MustCompile(`^[\p{Ll}\p{Lo}][\p{Ll}\p{Lo}\p{N}_-]{0,62}$`)
	labelValue   = regexp.MustCompile(`^[\p{Ll}\p{Lo}\p{N}_-]{0,63}$`)
	metadataKey  = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,128}$`)
	networkTag   = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$`)
	accountEmail = regexp.MustCompile(`^(default|[a-z0-9-]+@[a-z0-9.-]+\.gserviceaccount\.com)$`)
)

const (
	maxLabels        = 64
	maxMetadataValue = 256 << 10
	maxMetadata      = 512 << 10
	shortestRun      = 30 * time.Second
	longestRun       = 120 * 24 * time.Hour
	longestNotice    = 120 * time.Second
)

// checkProperties checks what is common to an instance and to the
// instanceProperties of many; field is where they are.
func (s *Server) checkProperties(field string, p object) *apiError {
	for _, check := range []func(string, object) *apiError{
		s.checkLabels, s.checkMetadata, s.checkScheduling, s.checkDisks, s.checkAccounts, s.checkTags,
	} {
		if failure := check(field, p); failure != nil {
			return failure
		}
	}
	return nil
}

func (s *Server) checkName(field, name string) *apiError {
	if !instanceName.MatchString(name) {
		return invalid(field, name, "Must be a match of regex '(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)'")
	}
	return nil
}

func (s *Server) checkLabels(field string, p object) *apiError {
	return labelsAre(field+".labels", objectAt(p, "labels"))
}

func labelsAre(field string, labels object) *apiError {
	if len(labels) > maxLabels {
		return invalid(field, fmt.Sprint(len(labels)), "At most 64 labels.")
	}
	for key, value := range labels {
		text, _ := value.(string)
		if !labelKey.MatchString(key) {
			return invalid(field, key, "Label keys begin with a lower-case letter and have at most 63 lower-case letters, digits, '-' and '_'.")
		}
		if !labelValue.MatchString(text) {
			return invalid(field+"."+key, text, "Label values have at most 63 lower-case letters, digits, '-' and '_'.")
		}
	}
	return nil
}

func (s *Server) checkMetadata(field string, p object) *apiError {
	seen, total := map[string]bool{}, 0
	for _, item := range objectsAt(p, "metadata.items") {
		key, value := textAt(item, "key"), textAt(item, "value")
		if !metadataKey.MatchString(key) || seen[key] {
			return invalid(field+".metadata.items", key, "Metadata keys are unique, 1 to 128 letters, digits, '-' and '_'.")
		}
		if len(value) > maxMetadataValue {
			return invalid(field+".metadata.items."+key, "...", "A metadata value has at most 256 KiB.")
		}
		seen[key], total = true, total+len(key)+len(value)
	}
	if total > maxMetadata {
		return invalid(field+".metadata", "...", "All metadata together has at most 512 KiB.")
	}
	return nil
}

// checkScheduling holds the rules of the pages on spot VMs and on limiting the
// run time.
func (s *Server) checkScheduling(field string, p object) *apiError {
	field += ".scheduling"
	model := textAt(p, "scheduling.provisioningModel")
	preemptible, _ := boolAt(p, "scheduling.preemptible")
	spot := model == "SPOT" || preemptible
	action := textAt(p, "scheduling.instanceTerminationAction")
	restart, restartGiven := boolAt(p, "scheduling.automaticRestart")
	maintenance := textAt(p, "scheduling.onHostMaintenance")
	longest, limited := durationAt(p, "scheduling.maxRunDuration")
	notice, noticed := durationAt(p, "scheduling.preemptionNoticeDuration")
	switch {
	case preemptible && model == "STANDARD":
		return invalid(field+".provisioningModel", model, "Not with preemptible = true.")
	case spot && (restart || !restartGiven):
		return invalid(field+".automaticRestart", "true", "Spot VMs cannot restart automatically.")
	case spot && maintenance != "TERMINATE":
		return invalid(field+".onHostMaintenance", maintenance, "Spot VMs must have TERMINATE.")
	case action == "INSTANCE_TERMINATION_ACTION_UNSPECIFIED":
		return invalid(field+".instanceTerminationAction", action, "STOP or DELETE.")
	case action != "" && !spot && !limited:
		return invalid(field+".instanceTerminationAction", action, "Only for Spot VMs and VMs with a limited run time.")
	case limited && action == "":
		return invalid(field+".instanceTerminationAction", action, "A limited run time needs one.")
	case limited && (longest < shortestRun || longest > longestRun):
		return invalid(field+".maxRunDuration", longest.String(), "Must be between 30 seconds and 120 days.")
	case noticed && !spot:
		return invalid(field+".preemptionNoticeDuration", notice.String(), "Only for Spot VMs.")
	case noticed && notice != 0 && notice != longestNotice:
		return invalid(field+".preemptionNoticeDuration", notice.String(), "0 or 120 seconds.")
	case len(objectsAt(p, "guestAccelerators")) > 0 && maintenance != "TERMINATE":
		return invalid(field+".onHostMaintenance", maintenance, "VMs with GPUs must have TERMINATE.")
	}
	return nil
}

func (s *Server) checkDisks(field string, p object) *apiError {
	disks := objectsAt(p, "disks")
	boots := 0
	for i, disk := range disks {
		where := fmt.Sprintf("%s.disks[%d]", field, i)
		if boot, _ := boolAt(disk, "boot"); boot {
			boots++
		}
		parameters := objectAt(disk, "initializeParams")
		source := textAt(parameters, "sourceImage")
		if source != "" && s.findImage(source) == nil {
			return missing(where+".initializeParams.sourceImage", source)
		}
		if size, given := intAt(parameters, "diskSizeGb"); given && (size < 10 || size > 65536) {
			return invalid(where+".initializeParams.diskSizeGb", fmt.Sprint(size), "Disk size cannot be smaller than the image size (10 GB) nor larger than 65536 GB.")
		}
		if failure := labelsAre(where+".initializeParams.labels", objectAt(parameters, "labels")); failure != nil {
			return failure
		}
	}
	if boots != 1 {
		return invalid(field+".disks", fmt.Sprint(boots), "Exactly one boot disk is needed.")
	}
	return nil
}

func (s *Server) checkAccounts(field string, p object) *apiError {
	accounts := objectsAt(p, "serviceAccounts")
	if len(accounts) > 1 {
		return invalid(field+".serviceAccounts", fmt.Sprint(len(accounts)), "At most one service account.")
	}
	for _, account := range accounts {
		email := textAt(account, "email")
		if !accountEmail.MatchString(email) {
			return invalid(field+".serviceAccounts[0].email", email, "Not a service account.")
		}
		scopes, _ := at(account, "scopes").([]any)
		for _, scope := range scopes {
			if text, _ := scope.(string); !strings.HasPrefix(text, "https://www.googleapis.com/auth/") {
				return invalid(field+".serviceAccounts[0].scopes", text, "Not a scope.")
			}
		}
	}
	return nil
}

func (s *Server) checkTags(field string, p object) *apiError {
	tags, _ := at(p, "tags.items").([]any)
	for _, tag := range tags {
		if text, _ := tag.(string); !networkTag.MatchString(text) {
			return invalid(field+".tags.items", text, "Must be a match of regex '(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)'")
		}
	}
	return nil
}

// checkNetworks wants interfaces on networks that are there. Without any, the
// request is refused, as for an insert by REST.
func (s *Server) checkNetworks(field string, p object, region string) *apiError {
	interfaces := objectsAt(p, "networkInterfaces")
	if len(interfaces) == 0 {
		return invalid(field+".networkInterfaces", "", "At least one network interface is required.")
	}
	for i, nic := range interfaces {
		where := fmt.Sprintf("%s.networkInterfaces[%d]", field, i)
		network, subnetwork := textAt(nic, "network"), textAt(nic, "subnetwork")
		if network == "" && subnetwork == "" {
			network = "global/networks/" + networkName
		}
		if network != "" && !contains([]string{networkName, customNetwork}, lastPart(network)) {
			return missing(where+".network", network)
		}
		if subnetwork == "" && network != "" && lastPart(network) != networkName {
			return invalid(where+".subnetwork", "", "A network in custom subnet mode needs a subnetwork.")
		}
		if subnetwork != "" && (!s.hasSubnetwork(region, lastPart(subnetwork)) || !strings.Contains(subnetwork, "regions/"+region+"/")) {
			return missing(where+".subnetwork", subnetwork)
		}
		if given := objectsAt(nic, "accessConfigs"); len(given) > 1 {
			return invalid(where+".accessConfigs", fmt.Sprint(len(given)), "At most one access config.")
		}
	}
	return nil
}

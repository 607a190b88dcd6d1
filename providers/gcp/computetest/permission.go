package computetest

import "strings"

// permissions that each method needs, as its reference page lists them.
var permissions = map[string][]string{
	"compute.acceleratorTypes.aggregatedList":    {"compute.acceleratorTypes.list"},
	"compute.acceleratorTypes.get":               {"compute.acceleratorTypes.get"},
	"compute.acceleratorTypes.list":              {"compute.acceleratorTypes.list"},
	"compute.globalOperations.aggregatedList":    {"compute.globalOperations.list"},
	"compute.globalOperations.get":               {"compute.globalOperations.get"},
	"compute.images.get":                         {"compute.images.get"},
	"compute.images.getFromFamily":               {"compute.images.getFromFamily"},
	"compute.images.list":                        {"compute.images.list"},
	"compute.instances.aggregatedList":           {"compute.instances.list"},
	"compute.instances.bulkInsert":               createPermissions,
	"compute.instances.delete":                   {"compute.instances.delete"},
	"compute.instances.get":                      {"compute.instances.get"},
	"compute.instances.getSerialPortOutput":      {"compute.instances.getSerialPortOutput"},
	"compute.instances.insert":                   createPermissions,
	"compute.instances.list":                     {"compute.instances.list"},
	"compute.instances.simulateMaintenanceEvent": {"compute.instances.simulateMaintenanceEvent"},
	"compute.instances.stop":                     {"compute.instances.stop"},
	"compute.machineTypes.aggregatedList":        {"compute.machineTypes.list"},
	"compute.machineTypes.get":                   {"compute.machineTypes.get"},
	"compute.machineTypes.list":                  {"compute.machineTypes.list"},
	"compute.networks.get":                       {"compute.networks.get"},
	"compute.networks.list":                      {"compute.networks.list"},
	"compute.projects.get":                       {"compute.projects.get"},
	"compute.regionInstances.bulkInsert":         createPermissions,
	"compute.regionOperations.get":               {"compute.regionOperations.get"},
	"compute.regionOperations.list":              {"compute.regionOperations.list"},
	"compute.regionOperations.wait":              {"compute.regionOperations.get"},
	"compute.regions.get":                        {"compute.regions.get"},
	"compute.regions.list":                       {"compute.regions.list"},
	"compute.subnetworks.get":                    {"compute.subnetworks.get"},
	"compute.subnetworks.list":                   {"compute.subnetworks.list"},
	"compute.zoneOperations.get":                 {"compute.zoneOperations.get"},
	"compute.zoneOperations.list":                {"compute.zoneOperations.list"},
	"compute.zoneOperations.wait":                {"compute.zoneOperations.get"},
	"compute.zones.get":                          {"compute.zones.get"},
	"compute.zones.list":                         {"compute.zones.list"},
}

// createPermissions are those of any insert; what a request has in it needs
// more, see permit.
var createPermissions = []string{"compute.instances.create", "compute.disks.create", "compute.subnetworks.use"}

// Permit allows these permissions and no others; with none given, everything.
func (s *Server) Permit(allowed ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.permitted = nil
	if len(allowed) > 0 {
		s.permitted = map[string]bool{}
		for _, permission := range allowed {
			s.permitted[permission] = true
		}
	}
}

// UsedPermissions are those that the requests so far needed, sorted: what a
// role must have.
func (s *Server) UsedPermissions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return sortedKeys(s.used)
}

// permit wants the project to be there and the permissions to be held.
func (s *Server) permit(r *request) *apiError {
	project := r.path["project"]
	public := project == imageProject && strings.HasPrefix(r.method.ID, "compute.images.")
	if project != "" && project != s.options.Project && !public {
		return notFound("projects/" + project)
	}
	for _, permission := range s.needed(r) {
		s.used[permission] = true
		if s.permitted != nil && !s.permitted[permission] && !public {
			return forbidden(permission, s.pathOf(r))
		}
	}
	return nil
}

func (s *Server) needed(r *request) []string {
	needed := permissions[r.method.ID]
	if r.body == nil {
		return needed
	}
	properties := r.body
	if nested := objectAt(r.body, "instanceProperties"); nested != nil {
		properties = nested
	}
	needed = append([]string(nil), needed...)
	for field, permission := range map[string]string{
		"labels": "compute.instances.setLabels", "metadata": "compute.instances.setMetadata",
		"tags": "compute.instances.setTags", "serviceAccounts": "compute.instances.setServiceAccount",
	} {
		if _, given := properties[field]; given {
			needed = append(needed, permission)
		}
	}
	for _, nic := range objectsAt(properties, "networkInterfaces") {
		if len(objectsAt(nic, "accessConfigs")) > 0 {
			needed = append(needed, "compute.subnetworks.useExternalIp")
		}
	}
	for _, disk := range objectsAt(properties, "disks") {
		if at(disk, "initializeParams.labels") != nil {
			needed = append(needed, "compute.disks.setLabels")
		}
	}
	return needed
}

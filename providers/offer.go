package providers

// CapacityType is how an instance is bought.
type CapacityType string

const (
	Spot     CapacityType = "spot"
	OnDemand CapacityType = "on-demand"
)

// Offer is something that can be rented: zone, instance type and capacity type
// with a price.
type Offer struct {
	Zone         string       `json:"zone"`
	InstanceType string       `json:"instance_type"`
	Capacity     CapacityType `json:"capacity"`
	Price        float64      `json:"price"` // dollars an hour
	CPUs         float64      `json:"cpus"`
	Memory       int64        `json:"memory"` // bytes
	GPUs         int          `json:"gpus,omitempty"`
	GPUType      string       `json:"gpu_type,omitempty"`
	Arch         string       `json:"arch"` // "amd64", "arm64"
	OS           string       `json:"os"`   // "linux", "darwin"
	// Limit is how many instances of it may live at once as far as the
	// provider knows; 0: unknown.
	Limit int `json:"limit,omitempty"`
	// FleetLimit is the same for all instances in the fleet together, whatever
	// their offer; 0: unknown.
	FleetLimit int `json:"fleet_limit,omitempty"`
}

// Pool names an offer within its fleet: what runs out of capacity together.
type Pool struct {
	Zone         string       `json:"zone"`
	InstanceType string       `json:"instance_type"`
	Capacity     CapacityType `json:"capacity"`
}

// Pool that the offer belongs to.
func (o Offer) Pool() Pool { return Pool{o.Zone, o.InstanceType, o.Capacity} }

// Need is what instances must have, at least.
type Need struct {
	CPUs    float64 `json:"cpus,omitempty"`
	Memory  int64   `json:"memory,omitempty"` // bytes
	Disk    int64   `json:"disk,omitempty"`   // bytes
	GPUs    int     `json:"gpus,omitempty"`
	GPUType string  `json:"gpu_type,omitempty"`
	Arch    string  `json:"arch,omitempty"`
	Image   string  `json:"image,omitempty"`
}

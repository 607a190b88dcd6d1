package bridge

import (
	"github.com/spotrelay/spotrelay/plugins/proto"
	"github.com/spotrelay/spotrelay/providers"
)

func toOffer(o providers.Offer) *proto.Offer {
	return &proto.Offer{
		Zone:         o.Zone,
		InstanceType: o.InstanceType,
		Capacity:     string(o.Capacity),
		Price:        o.Price,
		Cpus:         o.CPUs,
		Memory:       o.Memory,
		Gpus:         int64(o.GPUs),
		GpuType:      o.GPUType,
		Arch:         o.Arch,
		Os:           o.OS,
		Limit:        int64(o.Limit),
		FleetLimit:   int64(o.FleetLimit),
	}
}

func fromOffer(o *proto.Offer) providers.Offer {
	return providers.Offer{
		Zone:         o.GetZone(),
		InstanceType: o.GetInstanceType(),
		Capacity:     providers.CapacityType(o.GetCapacity()),
		Price:        o.GetPrice(),
		CPUs:         o.GetCpus(),
		Memory:       o.GetMemory(),
		GPUs:         int(o.GetGpus()),
		GPUType:      o.GetGpuType(),
		Arch:         o.GetArch(),
		OS:           o.GetOs(),
		Limit:        int(o.GetLimit()),
		FleetLimit:   int(o.GetFleetLimit()),
	}
}

func toPool(p providers.Pool) *proto.Pool {
	return &proto.Pool{Zone: p.Zone, InstanceType: p.InstanceType, Capacity: string(p.Capacity)}
}

func fromPool(p *proto.Pool) providers.Pool {
	return providers.Pool{
		Zone:         p.GetZone(),
		InstanceType: p.GetInstanceType(),
		Capacity:     providers.CapacityType(p.GetCapacity()),
	}
}

func toNeed(n providers.Need) *proto.Need {
	return &proto.Need{
		Cpus:    n.CPUs,
		Memory:  n.Memory,
		Disk:    n.Disk,
		Gpus:    int64(n.GPUs),
		GpuType: n.GPUType,
		Arch:    n.Arch,
		Image:   n.Image,
	}
}

func fromNeed(n *proto.Need) providers.Need {
	return providers.Need{
		CPUs:    n.GetCpus(),
		Memory:  n.GetMemory(),
		Disk:    n.GetDisk(),
		GPUs:    int(n.GetGpus()),
		GPUType: n.GetGpuType(),
		Arch:    n.GetArch(),
		Image:   n.GetImage(),
	}
}

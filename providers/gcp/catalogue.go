package gcp

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/api/cloudbilling/v1"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"

	"github.com/spotrelay/spotrelay/providers"
)

// computeService is Compute Engine in the billing catalogue.
const computeService = "services/6F81-5844-456A"

const skuFields = "nextPageToken,skus(description,category(resourceFamily,usageType),serviceRegions,pricingInfo/pricingExpression(usageUnit,tieredRates/unitPrice))"

// readCatalogue reads the prices of the region. With an endpoint of its own for
// Compute and none for billing there is no catalogue.
func (c *cloud) readCatalogue(ctx context.Context) (priceList, error) {
	const op, call = "offers", "services.skus.list"
	if c.key.endpoint != "" && c.key.billing == "" {
		return priceList{}, fault(op, providers.CodeUnavailable, "no billing_endpoint is set", "")
	}
	options := []option.ClientOption{option.WithHTTPClient(c.http), option.WithTelemetryDisabled()}
	if c.key.billing != "" {
		options = append(options, option.WithEndpoint(c.key.billing))
	}
	service, err := cloudbilling.NewService(ctx, options...)
	if err != nil {
		return priceList{}, wrap(op, "", err)
	}
	list := newPriceList()
	err = c.pages(ctx, op, call, apiRead, func(ctx context.Context, token *string) (string, error) {
		request := service.Services.Skus.List(computeService).CurrencyCode("USD").PageSize(5000).
			Fields(googleapi.Field(skuFields)).Context(ctx)
		if token != nil {
			request = request.PageToken(*token)
		}
		page, err := request.Do()
		if err != nil {
			return "", err
		}
		for _, sku := range page.Skus {
			list.add(c.key.region, sku)
		}
		return page.NextPageToken, nil
	})
	return list, err
}

// part is what a SKU is the price of.
type part struct {
	kind string // "core", "memory", "gpu"
	name string // family or GPU
}

// add takes a SKU in, if it is the price of a part in the region.
func (l priceList) add(region string, sku *cloudbilling.Sku) {
	if sku.Category == nil || sku.Category.ResourceFamily != "Compute" || !slices.Contains(sku.ServiceRegions, region) {
		return
	}
	p, ok := partOf(sku.Description)
	price := unitPrice(sku)
	if !ok || price <= 0 {
		return
	}
	into := map[string]map[string]rates{"core": l.Core, "memory": l.Memory, "gpu": l.GPU}[p.kind]
	r := into[p.name]
	switch sku.Category.UsageType {
	case "OnDemand":
		r.OnDemand = price
	case "Preemptible":
		r.Spot = price
	default: // a commitment
		return
	}
	into[p.name] = r
}

// unitPrice is the price of the last tier, in dollars an hour; 0 for another
// unit.
func unitPrice(sku *cloudbilling.Sku) float64 {
	if len(sku.PricingInfo) == 0 || sku.PricingInfo[0].PricingExpression == nil {
		return 0
	}
	expression := sku.PricingInfo[0].PricingExpression
	if expression.UsageUnit != "h" && expression.UsageUnit != "GiBy.h" || len(expression.TieredRates) == 0 {
		return 0
	}
	price := expression.TieredRates[len(expression.TieredRates)-1].UnitPrice
	if price == nil {
		return 0
	}
	return float64(price.Units) + float64(price.Nanos)/1e9
}

var (
	partForm = regexp.MustCompile(`^(?:Spot Preemptible )?(.+?) (?:Instance )?(Core|Ram)(?: running in .+)?$`)
	gpuForm  = regexp.MustCompile(`^(?:Spot Preemptible )?(.+?) GPU(?: attached to Spot Preemptible VMs)?(?: running in .+)?$`)
	// others are SKUs of something else, though they name a family.
	others     = regexp.MustCompile(`(?i)custom|extended|sole tenancy|commitment|reserved|premium|dws|defined duration|upgrade|overcommit|committed`)
	familyForm = regexp.MustCompile(`^[a-z][0-9]+[a-z]?$`)
)

// partOf reads a SKU's description, such as "Spot Preemptible N2D AMD Instance
// Core running in Americas" or "Nvidia L4 GPU running in Iowa": the catalogue
// has no field for the family.
func partOf(description string) (part, bool) {
	if others.MatchString(description) {
		return part{}, false
	}
	if m := partForm.FindStringSubmatch(description); m != nil {
		kind := "core"
		if m[2] == "Ram" {
			kind = "memory"
		}
		family := familyOf(m[1])
		return part{kind, family}, family != ""
	}
	if m := gpuForm.FindStringSubmatch(description); m != nil && strings.HasPrefix(m[1], "Nvidia ") {
		return part{"gpu", shortGPU(m[1])}, true
	}
	return part{}, false
}

func familyOf(text string) string {
	switch text {
	case "Compute optimized":
		return "c2"
	case "Memory-optimized", "Memory optimized":
		return "m1"
	}
	words := slices.DeleteFunc(strings.Fields(strings.ToLower(text)), func(word string) bool {
		return slices.Contains([]string{"predefined", "amd", "arm", "intel", "memory-optimized"}, word)
	})
	if len(words) == 1 && familyForm.MatchString(words[0]) {
		return words[0]
	}
	return ""
}

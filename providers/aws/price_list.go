package aws

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/pricing"
	"github.com/aws/aws-sdk-go-v2/service/pricing/types"

	"github.com/spotrelay/spotrelay/providers"
)

const (
	// priceListLife is how long on-demand prices are used without asking, and
	// priceListMost how old they may be where AWS does not answer.
	priceListLife = 24 * time.Hour
	priceListMost = 60 * 24 * time.Hour
	// priceListAgain is how soon it is asked again after the built-in table had
	// to serve.
	priceListAgain = 10 * time.Minute

	priceListVersion = 1
)

// priceList is on-demand prices of a region, in dollars an hour by instance
// type.
type priceList struct {
	Version int                `json:"version"`
	Source  string             `json:"source"`
	Fetched time.Time          `json:"fetched"`
	Prices  map[string]float64 `json:"prices"`

	// builtIn: the table of this program serves, since AWS refused or did not
	// answer with err.
	builtIn bool
	err     error
}

// price of an instance type; false for one that the list does not have.
func (l priceList) price(instanceType string) (float64, bool) {
	if l.builtIn {
		return builtInPrice(instanceType)
	}
	price, ok := l.Prices[instanceType]
	return price, ok
}

// onDemandPrices are those of the price list, kept on disk for a day, or else
// the built-in table's.
func (p *Provider) onDemandPrices(ctx context.Context, s *session, op string) (priceList, error) {
	source := s.priceSource()
	fetch := func(ctx context.Context) (priceList, error) {
		kept := p.readPrices(source)
		if time.Since(kept.Fetched) < priceListLife {
			return kept, nil
		}
		prices, err := s.fetchPrices(ctx, op)
		switch {
		case err == nil:
			list := priceList{Version: priceListVersion, Source: source, Fetched: time.Now().UTC(), Prices: prices}
			p.writePrices(list)
			return list, nil
		case ctx.Err() != nil:
			return priceList{}, err
		case time.Since(kept.Fetched) < priceListMost:
			p.log.Warn("on-demand prices could not be asked for; older ones serve", "region", s.region, "of", kept.Fetched, "error", err)
			kept.err = err
			return kept, nil
		}
		p.log.Warn("on-demand prices could not be asked for; the built-in table serves", "region", s.region, "of", builtInDate, "error", err)
		return priceList{builtIn: true, err: err}, nil
	}
	list, err := s.onDemand.get(ctx, source, priceListLife, fetch)
	if err == nil && list.err != nil {
		return s.onDemand.get(ctx, source, priceListAgain, fetch)
	}
	return list, err
}

// fetchPrices reads the whole price list of Linux instances in the region.
func (s *session) fetchPrices(ctx context.Context, op string) (map[string]float64, error) {
	in := &pricing.GetProductsInput{
		ServiceCode: aws.String("AmazonEC2"), FormatVersion: aws.String("aws_v1"), MaxResults: aws.Int32(100),
		Filters: []types.Filter{
			term("regionCode", s.region), term("operatingSystem", "Linux"), term("tenancy", "Shared"),
			term("preInstalledSw", "NA"), term("capacitystatus", "Used"), term("marketoption", "OnDemand"),
		},
	}
	prices := map[string]float64{}
	for {
		out, err := ask(ctx, s, call{op, "pricing:GetProducts"}, s.pricing.GetProducts, in)
		if err != nil {
			return nil, err
		}
		for _, text := range out.PriceList {
			if name, price, ok := readProduct([]byte(text)); ok {
				prices[name] = price
			}
		}
		if in.NextToken = out.NextToken; aws.ToString(in.NextToken) == "" {
			break
		}
	}
	if len(prices) == 0 {
		return nil, &providers.Error{Code: providers.CodeUnavailable, Op: op, Call: "pricing:GetProducts",
			Message: fmt.Sprintf("the price list has no instances in %s", s.region)}
	}
	return prices, nil
}

func term(field, value string) types.Filter {
	return types.Filter{Type: types.FilterTypeTermMatch, Field: aws.String(field), Value: aws.String(value)}
}

// product is the part of a price list's entry that is of interest here.
type product struct {
	Product struct {
		Attributes struct {
			InstanceType string `json:"instanceType"`
		} `json:"attributes"`
	} `json:"product"`
	Terms struct {
		OnDemand map[string]struct {
			PriceDimensions map[string]struct {
				Unit         string            `json:"unit"`
				PricePerUnit map[string]string `json:"pricePerUnit"`
			} `json:"priceDimensions"`
		} `json:"OnDemand"`
	} `json:"terms"`
}

// readProduct reads an entry of the price list: an instance type and its
// dollars an hour. False for one that has no such price.
func readProduct(text []byte) (name string, price float64, ok bool) {
	var entry product
	if err := json.Unmarshal(text, &entry); err != nil || entry.Product.Attributes.InstanceType == "" {
		return "", 0, false
	}
	for _, offer := range entry.Terms.OnDemand {
		for _, dimension := range offer.PriceDimensions {
			dollars, err := strconv.ParseFloat(dimension.PricePerUnit["USD"], 64)
			if err == nil && dollars > 0 && dollars < 1e6 && dimension.Unit == "Hrs" {
				return entry.Product.Attributes.InstanceType, dollars, true
			}
		}
	}
	return "", 0, false
}

// priceFile is where a region's price list is kept, "" for nowhere.
func (p *Provider) priceFile(source string) string {
	if p.cacheDir == "" {
		return ""
	}
	return filepath.Join(p.cacheDir, "on-demand-"+source+".json")
}

// readPrices reads the list that is kept; an empty one where there is none that
// can be used.
func (p *Provider) readPrices(source string) priceList {
	var list priceList
	file := p.priceFile(source)
	if file == "" {
		return list
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return priceList{}
	}
	if err := json.Unmarshal(data, &list); err != nil || list.Version != priceListVersion || list.Source != source || len(list.Prices) == 0 {
		return priceList{}
	}
	return list
}

// writePrices keeps a list. That it cannot be kept costs a few calls a day.
func (p *Provider) writePrices(list priceList) {
	file := p.priceFile(list.Source)
	if file == "" {
		return
	}
	data, err := json.Marshal(list)
	if err == nil {
		err = writeWhole(file, data)
	}
	if err != nil {
		p.log.Warn("on-demand prices could not be kept", "file", file, "error", err)
	}
}

// writeWhole writes a file so that readers see all of it or the one before.
func writeWhole(file string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(file), "*.new")
	if err != nil {
		return err
	}
	_, err = temp.Write(data)
	if closing := temp.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(temp.Name(), file)
	}
	if err != nil {
		os.Remove(temp.Name())
	}
	return err
}

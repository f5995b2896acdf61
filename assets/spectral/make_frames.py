"""Records the frequency ratio TOPO -> {GEO, BARY, LSRK, LSRD} that casacore's measures give, for several
observatories, dates and directions, and the reference positions of observatories. Run with casatools' python."""
import json, math, sys
from casatools import measures, quanta
me, qa = measures(), quanta()
def itrf(o):
    p = me.measure(me.observatory(o), 'itrf')
    lon, lat, r = p['m0']['value'], p['m1']['value'], p['m2']['value']
    return [r*math.cos(lat)*math.cos(lon), r*math.cos(lat)*math.sin(lon), r*math.sin(lat)]
out = dict(observatories={}, ratios=[], frame_bias=[])
for o in ['ALMA','EVLA','VLA','ACA','ATCA','MeerKAT','GMRT','WSRT','LOFAR','SMA','NOEMA','IRAM_PDB','CARMA','PDB','ASKAP','MWA','VLBA','e-MERLIN','MERLIN','EVN','OVRO_MMA','BIMA','KAT-7','APEX','NRAO12M','GBT','ARECIBO','EFFELSBERG','PARKES','IRAM30M','LWA1','LWA_SV','DSA','HATCREEK','SKA1-MID','SKA1-LOW','TIANLAI','HERA','PAPER_SA','NGVLA']:
    try: out['observatories'][o] = itrf(o)
    except Exception as e: print(o, 'unknown')
dirs = [(-1.97658533,-0.4276056),(-2.26020138,0.08843002),(-2.51447037,-1.36996181),(0.5,1.2),(4.8,0.55)]
dates = [4304482380.0,4917926159.8,5027895533.2,5161982452.0,5161984942.0,4.6e9,4.75e9,5.05e9,5.2e9,5.26e9]
for o in ('ALMA','VLA','MeerKAT'):
    for t in dates:
        for ra,dec in dirs:
            me.doframe(me.observatory(o)); me.doframe(me.epoch('utc',qa.quantity(t,'s')))
            me.doframe(me.direction('J2000',qa.quantity(ra,'rad'),qa.quantity(dec,'rad')))
            f0 = 1e12
            r = {fr: me.measure(me.frequency('TOPO',qa.quantity(f0,'Hz')),fr)['m0']['value']/f0 for fr in ('GEO','BARY','LSRK','LSRD')}
            out['ratios'].append(dict(observatory=o,time=t,ra=ra,dec=dec,**r))
for ra,dec in dirs:
    d=me.measure(me.direction('ICRS',qa.quantity(ra,'rad'),qa.quantity(dec,'rad')),'J2000')
    out['frame_bias'].append(dict(icrs=[ra,dec],j2000=[d['m0']['value'],d['m1']['value']]))
json.dump(out,open('frames.json','w'),indent=0)

import sys; sys.path.insert(0,'/work/main')
from benchmarks.simulate_search import *
import time
N=int(sys.argv[1])
def ev(setting, seeds, base=0, **ch):
    t=time.perf_counter()
    rows=[]; 
    for s in seeds:
        w=World(setting,s); f=search(w,**ch); rows.append((w,f))
    n=len(rows)
    pos=lambda f,w: w.setting.sizes if f.size is None else f.size
    share=sum(f.share for _,f in rows)/n
    exact=sum(pos(f,w)==w.smallest for w,f in rows)/n
    w1=sum(abs(pos(f,w)-w.smallest)<=1 for w,f in rows)/n
    false=sum(f.false_match for _,f in rows)/n
    op=sum(f.opened for _,f in rows)
    missed=sum(f.size is None and w.smallest<7 for w,f in rows)/max(1,sum(w.smallest<7 for w,f in rows))
    print(f"{setting.slope} {ch} share {share:.3f} exact {exact:.3f} within1 {w1:.3f} false {false:.4f} opened {op/n:.3f} false|opened {sum(f.false_match for _,f in rows)/max(1,op):.4f} missed {missed:.3f}  {time.perf_counter()-t:.1f}s", flush=True)
    return rows
for slope in (.01,.03,.06):
    S=Setting(slope=slope)
    a=ev(S,range(N))
    b=ev(S,range(N),futility=False)
    o=ev(S,range(N),futility=False,strategy=Strategy.EXHAUSTIVE)
    pos=lambda f:7 if f.size is None else f.size
    print("   agree within 1 of oracle", sum(abs(pos(x)-pos(y))<=1 for (_,x),(_,y) in zip(a,o))/N, "nofut", sum(abs(pos(x)-pos(y))<=1 for (_,x),(_,y) in zip(b,o))/N)
S=Setting(slope=None,deficit=0,seed_noise=0)
ev(S,range(N)); ev(S,range(N),futility=False)
